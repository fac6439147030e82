// lib/nn/cuda/trust.h: what decides whether a recorded step is used in place of the plain one.
#pragma once

#include <ATen/ATen.h>

#include <exception>
#include <string_view>

namespace ppx::nn {

// False where the environment has PPX_CUDA_GRAPH=0.
bool GraphsWanted();

// What an exception says, LibTorch's without the backtrace. Valid as long as `error`.
std::string_view ReasonOf(const std::exception& error);

// Warns on stderr that `what` is not run as a CUDA graph, once for each.
void WarnOfGraph(std::string_view what, std::string_view reason);

// Whether the norm of the difference is within `relative` of the norm of `expected` and `absolute`,
// a root mean square. Never where a number is none.
bool Close(const at::Tensor& actual, const at::Tensor& expected, double relative,
           double absolute = 0);

}  // namespace ppx::nn
