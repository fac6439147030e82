#include "e2e/offline.h"

namespace ppx::test {

RunResult Offline(const Arguments& arguments, RunOptions options) {
  options.environment.emplace("PPX_DEVICE", "cpu");
  return RunProgram(Arguments{PPX_OFFLINE} + arguments, CleanEnvironment(options));
}

Arguments Tiny(const std::string& input) { return {"--model", TinyFolder(), "--input-wav", input}; }

}  // namespace ppx::test
