// lib/batch/manifest.h: the list of dialogues that a batch is asked for, as JSON lines.
//
// One object a line; blank lines and a byte order mark are passed over. Keys:
//   id            required, unique; becomes a folder, so "suite/17" is fine, "..", "/x", ".x" not
//   audio         the user's recording; a path relative to the manifest's folder
//   script        instead of audio: a dialogue script (YAML), a path like that
//   channel       of the recording, from 0
//   persona, text_prompt, voice_prompt         texts
//   seed          0 or more: a batch is to give the same files again
//   greedy        true or false
//   temp_audio, temp_text                      0 to 100
//   topk_audio, topk_text                      0 (all) or more
//   lead_in, tail                              0 to 3600, seconds
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ppx::batch {

// What one line asks for. What it does not say has no value: the program's options count.
struct DialogueRequest {
  std::string id;
  std::string where;                  // "jobs.jsonl:12", for messages
  std::optional<std::string> audio;   // with the manifest's folder in front, unless absolute
  std::optional<std::string> script;  // the same; exactly one of the two is there
  std::optional<int> channel;
  // As written: names or paths, which the caller looks up.
  std::optional<std::string> persona;
  std::optional<std::string> text_prompt;
  std::optional<std::string> voice_prompt;
  std::optional<int64_t> seed;
  std::optional<bool> greedy;
  std::optional<double> temp_audio;
  std::optional<double> temp_text;
  std::optional<int> topk_audio;
  std::optional<int> topk_text;
  std::optional<double> lead_in_s;
  std::optional<double> tail_s;
};

struct ParsedManifest {
  std::vector<DialogueRequest> requests;  // of the lines without error, in their order
  std::vector<std::string> errors;  // "jobs.jsonl:12: what, and what was expected"; 20 at most
};

// Pure. `path` is where `text` is from: for messages, and its folder for paths.
ParsedManifest ParseManifest(std::string_view text, const std::string& path);

// Throws base::Error (kBadInput) with the first error, and how many more there are; also for a
// file that cannot be read, or without a dialogue.
std::vector<DialogueRequest> ReadManifest(const std::string& path);

// Why `id` cannot be an id; no value where it can. For ids from elsewhere (suites, script names).
std::optional<std::string> WrongWithId(std::string_view id);

}  // namespace ppx::batch
