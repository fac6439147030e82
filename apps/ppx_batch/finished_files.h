// apps/ppx_batch/finished_files.h: a dialogue that a slot has handed over -> its files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "batch/renderer.h"
#include "engine/quantisation.h"
#include "ppx_batch/dialogue.h"
#include "script/script_events.h"

namespace ppx::app {

struct RenderContext;

struct FinishedBatchDialogue {
  const BatchDialogue* dialogue = nullptr;
  std::vector<float> user;  // what the agent heard, as long as `agent`
  std::vector<float> agent;
  std::vector<int32_t> text;
  std::vector<int32_t> other_text;  // of dyads
  std::vector<script::ScriptEvent> events;
  uint64_t seed = 0;
  int64_t frames = 0;
  int64_t prompt_steps = 0;
  int slots = 0;  // of the engine, where bytes depend on it
  std::string device;
  std::string dtype;
  std::optional<engine::QuantisationDamage> damage;
};

// Paths of all files that a dialogue leaves, relative to the output folder.
std::vector<std::string> OutputPaths(const BatchDialogue& dialogue);

// Writes them, each atomically, and links what stands beside the input. The same dialogue gives the
// same bytes: nothing in them tells when or how fast it was made. Throws base::Error.
batch::DialogueOutcome WriteFinished(const FinishedBatchDialogue& finished,
                                     const RenderContext& context);

// Makes `link`, and its folder, where `file` exists. What is there already stays: it is a link of
// an earlier run, or the user's. Throws base::Error (kResource).
void Link(const std::filesystem::path& file, const std::filesystem::path& link);

}  // namespace ppx::app
