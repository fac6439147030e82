// lib/base/command_template.h: a program of the user's choice as a list of arguments with {places}
// that are filled in for each run. No shell reads it.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/subprocess.h"

namespace ppx::base {

// Which program and which arguments make a result.
struct CommandIdentity {
  std::string name;  // file name of the program
  std::string
      command;  // the arguments, those with blanks or quotes in single quotes as for a shell
  // Of the arguments as they were given and of the content of the program and of every file that an
  // argument names as a whole (a script, a model): the same on another machine, another where such
  // a file has changed. Not noticed: what lies in folders, libraries or environment variables.
  std::string sha256;

  bool operator==(const CommandIdentity&) const = default;
};

// The words of a command line: what blanks part; of a word that begins with a single or double
// quote what stands up to the next one, as it is. `origin` names the line in messages: "--asr".
// Throws Error (kUsage) where a quote is never closed.
std::vector<std::string> SplitCommand(const std::string& line, const std::string& origin);

// Const after construction, then safe to use from several threads.
class CommandTemplate {
 public:
  // `what` names the program's part in messages: "the speech recogniser". Reads the files that the
  // command names once. Throws Error: kUsage for an empty command, a program that is not there or
  // may not be run; kBadInput for a file of the command that cannot be read.
  CommandTemplate(std::vector<std::string> command, const std::string& what);

  const CommandIdentity& identity() const { return identity_; }

  // Whether an argument holds {place}; the program's own name does not count.
  bool Mentions(std::string_view place) const;

  // The arguments with every {place} of `values` replaced, all in one pass: what is filled in is
  // not looked at again. Other braces stay as they are.
  std::vector<std::string> Filled(const std::map<std::string, std::string>& values) const;

 private:
  std::vector<std::string> command_;
  CommandIdentity identity_;
};

// What went wrong with a run that was not cancelled: "ended with exit code 3"; empty where nothing
// did. `output` names what the program was to print: "a transcript".
std::string FailureOf(const SubprocessResult& result, double timeout_s, std::string_view output);

// The end of standard error as one line, to be put after a message: "; it wrote: no such voice".
std::string Complaint(std::string error_tail);

// A new folder under the system's temporary one, removed with all that is in it at the end. Throws
// Error (kResource) where it cannot be made.
class WorkFolder {
 public:
  WorkFolder();
  ~WorkFolder();
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;

  std::string File(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace ppx::base
