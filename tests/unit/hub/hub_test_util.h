// tests/unit/hub/hub_test_util.h: temporary folders, environment variables and child programs.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "hub/model_files.h"

namespace ppx::hub {

namespace fs = std::filesystem;

// A new empty folder, removed with all it holds.
class TempFolder {
 public:
  TempFolder() {
    std::string pattern = (fs::temp_directory_path() / "ppx_hub_test.XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = pattern;
  }
  ~TempFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  const fs::path& path() const { return path_; }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  fs::path path_;
};

// Sets (or with nullopt removes) environment variables until the end of the scope.
class ScopedEnvironment {
 public:
  struct Variable {
    std::string name;
    std::optional<std::string> value;
  };

  ScopedEnvironment(std::initializer_list<Variable> variables) {
    for (const Variable& variable : variables) {
      const char* old = std::getenv(variable.name.c_str());
      old_.push_back(
          {variable.name, old == nullptr ? std::nullopt : std::optional<std::string>(old)});
      Set(variable);
    }
  }
  ~ScopedEnvironment() {
    for (const Variable& variable : old_) Set(variable);
  }
  ScopedEnvironment(const ScopedEnvironment&) = delete;
  ScopedEnvironment& operator=(const ScopedEnvironment&) = delete;

 private:
  static void Set(const Variable& variable) {
    if (variable.value) {
      setenv(variable.name.c_str(), variable.value->c_str(), 1);
    } else {
      unsetenv(variable.name.c_str());
    }
  }
  std::vector<Variable> old_;
};

inline void WriteFile(const fs::path& path, const std::string& text = "x") {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

inline std::string ReadFile(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

inline ModelRequest Model(const std::string& model) {
  ModelRequest request;
  request.model = model;
  return request;
}

inline bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

struct Finished {
  int status = -1;     // exit status
  std::string output;  // stdout and stderr
};

inline Finished Run(const std::vector<std::string>& words) {
  std::string command;
  for (const std::string& word : words) {
    command += '\'';
    for (const char c : word) command += c == '\'' ? std::string("'\\''") : std::string(1, c);
    command += "' ";
  }
  command += "2>&1";
  std::FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error("popen failed");
  Finished finished;
  std::array<char, 4096> buffer{};
  while (const size_t got = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
    finished.output.append(buffer.data(), got);
  }
  const int status = pclose(pipe);
  finished.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return finished;
}

}  // namespace ppx::hub
