// lib/script/command_synthesiser.h: speech from any synthesiser that can be started as a program.
//
// The command is a list of arguments that is given to the program as it is, without a shell. In
// every argument {text} is replaced by the text, {wav} by the absolute path of a file, not yet
// there, that the program writes the speech to (any format that audio/wav_reader.h reads; its first
// channel counts), and {voice} and other {places} by what the script's clip says of them. A text
// that begins with '-' arrives as it is: where the program could take it for an option, put "--"
// before {text}.
//
// Speech is kept in a cache by content, FOLDER/tts/XX/KEY.wav with KEY.json beside it, so that a
// rerun starts nothing and hears the same samples even of a synthesiser that never speaks twice
// alike. The key is made of the text, the options and the command's identity
// (base/command_template.h, which says what is not noticed). Of several processes that want the
// same speech one makes it and the others wait, where the file system offers locks. Damaged entries
// are made anew.
#pragma once

#include <atomic>
#include <map>
#include <string>
#include <vector>

#include "base/command_template.h"
#include "script/speech_synthesiser.h"

namespace ppx::script {

struct SynthesiserOptions {
  std::vector<std::string> command;  // {"flite", "-voice", "{voice}", "-t", "{text}", "{wav}"}
  std::string default_voice;         // for clips that name none
  double timeout_s = 120;            // for one text
  std::string cache_folder;          // empty: no cache; made when missing
  const std::atomic<bool>* cancel = nullptr;
};

// Thread-safe; several processes may share a cache.
class CommandSynthesiser final : public SpeechSynthesiser {
 public:
  // Throws base::Error: kUsage for a command without {text} or {wav}, a program that cannot be run,
  // a time-out not above 0 or a cache folder that cannot be made; kBadInput for a file of the
  // command that cannot be read.
  explicit CommandSynthesiser(const SynthesiserOptions& options);

  // Throws base::Error: kBadInput where the program fails on the text: an exit code other than 0 or
  // a signal (with the end of what it wrote to standard error), the time-out, no sound file; kUsage
  // for an option that the command has no place for, or a {voice} that nobody names; kResource
  // where the program cannot be started; kInterrupted once `cancel` is true. Speech that cannot be
  // put into the cache is returned all the same.
  base::Audio Speak(const std::string& text,
                    const std::map<std::string, std::string>& options) const override;

  std::string identity() const override { return command_.identity().sha256; }
  const base::CommandIdentity& command() const { return command_.identity(); }

 private:
  base::Audio Cached(const std::string& text, const std::map<std::string, std::string>& options,
                     const std::string& key) const;
  // The speech, and the bytes of the file that the program wrote.
  base::Audio Run(const std::string& text, const std::map<std::string, std::string>& options,
                  std::string* bytes) const;

  SynthesiserOptions options_;
  base::CommandTemplate command_;
};

}  // namespace ppx::script
