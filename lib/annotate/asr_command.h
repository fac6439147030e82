// lib/annotate/asr_command.h: transcripts from any speech recogniser that can be started as a
// program.
//
// The command is a list of arguments that is given to the program as it is, without a shell. In
// every argument {wav} is replaced by the absolute path of the recording and {json} by the path of
// a file, not yet there, that the program writes the transcript to. Without {json} anywhere the
// program prints the transcript on standard output and nothing else. The transcript has the layout
// of output.json (transcript.h).
//
// Transcripts are kept in a cache by content, so that a rerun starts nothing. The key is the
// SHA-256 of the WAV's bytes, of the arguments as they were given, and of the content of the
// program and of every file that an argument names as a whole (a script, a model). So a cache can
// be moved to another machine, and a new version of a script or a model in place of the old one is
// noticed. Not noticed: what lies in folders, in libraries or in environment variables; add an
// argument such as a version to the command where that changes. Entries that are damaged are made
// anew.
//
// Not done: running one program for many files. Recognisers that load slowly are best left to write
// output.json themselves, or wrapped in a client of a server that keeps the model in memory.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "annotate/transcript.h"
#include "base/command_template.h"

namespace ppx::annotate {

struct AsrOptions {
  std::vector<std::string> command;  // {"whisper-json", "--model", "base.en.bin", "{wav}"}
  double timeout_s = 600;            // for one recording
  std::string cache_folder;          // empty: no cache; made when missing
};

// Which recogniser made a transcript.
using AsrIdentity = base::CommandIdentity;

// Thread-safe; several processes may share a cache.
class AsrCommand {
 public:
  // Throws base::Error: kUsage for an empty command, one without {wav}, a program that is not there
  // or may not be run, a time-out not above 0 or a cache folder that cannot be made; kBadInput for
  // a file of the command that cannot be read. Reads the files that the command names once.
  explicit AsrCommand(const AsrOptions& options);

  const AsrIdentity& identity() const { return command_.identity(); }

  // The transcript of the file at `wav_path`; the program is started unless the cache has it.
  //
  // Throws base::Error: kBadInput, naming the recording, where it cannot be read, and where the
  // program fails on it: an exit code other than 0 or a signal (with the end of what it wrote to
  // standard error), the time-out, no transcript or one that is damaged; kResource where the
  // program cannot be started; kInterrupted once `cancel` is true. A program that is stopped
  // early gets SIGTERM and, two seconds later, SIGKILL, and so does what it started.
  // A transcript that cannot be put into the cache is returned all the same.
  Transcript Transcribe(const std::string& wav_path,
                        const std::atomic<bool>* cancel = nullptr) const;

 private:
  Transcript Run(const std::string& wav_path, const std::atomic<bool>* cancel) const;

  AsrOptions options_;
  base::CommandTemplate command_;
  bool writes_file_ = false;  // {json} is in the command
};

}  // namespace ppx::annotate
