// lib/text/persona.h: persona files, the YAML that names a role, a voice and how to sample.
// The format is described for users in prompts/README.md.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ppx::text {

struct Persona {
  std::string path;         // the file it came from
  std::string name;         // the file's stem where the file does not say
  std::string description;  // one line for people; the model never sees it
  std::string text_prompt;  // without <system> tags, see text_prompt.h; may be empty
  std::string voice;        // for FindVoice; empty: none named

  // How to sample; what is not set is left to the run's options.
  std::optional<double> temp_audio;  // 0 or more
  std::optional<double> temp_text;
  std::optional<int> topk_audio;  // 0 or more; 0: no limit
  std::optional<int> topk_text;
  std::optional<bool> greedy;
};

// Throws base::Error(kBadInput) with "path:line:column: " for YAML that does not parse, an unknown
// or repeated key (the text lists the known ones), a value of the wrong type or range, or a missing
// text_prompt. Does not look whether the voice exists.
Persona LoadPersona(const std::string& path);
// The same from a file's bytes; `path` stands in the error text and in the result.
Persona ParsePersona(const std::string& yaml, const std::string& path);

// The file of a voice. `voice` is
// - a path relative to the folder of `persona_path` (or an absolute one), if there is such a file;
// - else, unless it has a '/', the name of a file of one of `voice_folders`, first folder first, as
//   it stands or with .pt, .safetensors or .wav after it, in this order.
// An empty `persona_path` (a voice from the command line) makes the path relative to the working
// folder. Throws base::Error(kBadInput), listing where it looked.
std::string FindVoice(const std::string& voice, const std::string& persona_path,
                      const std::vector<std::string>& voice_folders);

}  // namespace ppx::text
