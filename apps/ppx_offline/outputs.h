// apps/ppx_offline/outputs.h: a finished dialogue -> the files that were asked for.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/offline.h"
#include "ppx_offline/options.h"
#include "rendering/dialogue_files.h"
#include "text/tokenizer.h"

namespace ppx::app {

// Throws base::Error where a path cannot be written, or where two are the same file: before hours
// of work, not after.
void CheckOutputs(const RawOptions& raw);

// The paths of all outputs, in the order of --help.
std::vector<std::string> WrittenPaths(const RawOptions& raw);

// Writes everything but the record.
WrittenAudio WriteOutputs(const RawOptions& raw, const engine::DialogueAudio& audio,
                          const engine::DialogueResult& result, const engine::ModelConfig& config,
                          const text::Tokenizer& tokenizer, const engine::TraceRecorder* trace);

}  // namespace ppx::app
