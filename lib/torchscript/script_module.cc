#include "torchscript/script_module.h"

#include <fmt/format.h>

#include <filesystem>

#include "base/error.h"

namespace ppx::torchscript {
namespace {

// LibTorch's texts go on with a stack of frames; the first line is for people.
std::string FirstLine(const std::string& text) { return text.substr(0, text.find('\n')); }

}  // namespace

torch::jit::Module LoadModule(const std::string& path, const std::string& what,
                              const std::string& remedy) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) {
    base::ThrowBadInput(fmt::format("{}: {} was not found; {}", path, what, remedy));
  }
  try {
    torch::jit::Module module = torch::jit::load(path, at::kCPU);
    module.eval();
    return module;
  } catch (const std::exception& error) {
    base::ThrowBadInput(
        fmt::format("{}: no TorchScript module that can be loaded ({}); expected {}", path,
                    FirstLine(error.what()), what));
  }
}

void RunModule(const std::string& path, const std::function<void()>& body) {
  const c10::InferenceMode guard;
  try {
    body();
  } catch (const base::Error&) {
    throw;
  } catch (const std::exception& error) {
    base::ThrowBadInput(fmt::format("{}: the model failed: {}", path, FirstLine(error.what())));
  }
}

}  // namespace ppx::torchscript
