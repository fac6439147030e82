// lib/torchscript/script_module.h: loading of TorchScript files, for this library's sources only.
// Includes LibTorch; the public headers beside it do not.
#pragma once

#include <torch/script.h>

#include <functional>
#include <string>

namespace ppx::torchscript {

// On the CPU, in evaluation mode. `what` and `remedy` stand in the error text.
// Throws base::Error (kBadInput) for a file that is missing or no TorchScript module.
torch::jit::Module LoadModule(const std::string& path, const std::string& what,
                              const std::string& remedy);

// Runs `body` without gradients; what LibTorch throws becomes base::Error (kBadInput) with `path`,
// since it is the user's file that does not do what it should.
void RunModule(const std::string& path, const std::function<void()>& body);

}  // namespace ppx::torchscript
