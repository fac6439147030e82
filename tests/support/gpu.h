// tests/support/gpu.h: tests that run where a GPU is, and elsewhere say that they did not.
#pragma once

#include <optional>
#include <string>

#include "base/error.h"
#include "engine/device.h"
#include "nn/ring_attention.h"
#include "support/doctest_torch.h"

namespace ppx::test {

// Nothing where there is no GPU, which is the only thing that may keep it from opening.
inline std::optional<at::Device> OpenGpu() {
  try {
    return engine::OpenDevice("cuda");
  } catch (const base::Error& error) {
    CHECK(error.code() == base::ErrorCode::kResource);
    MESSAGE("skipped, no GPU: ", std::string(error.what()));
    return std::nullopt;
  }
}

// The same for tests of our own kernels, which a build may lack.
inline std::optional<at::Device> OpenGpuForKernels() {
  const std::optional<at::Device> gpu = OpenGpu();
  if (!gpu || nn::HasRingAttentionCuda()) return gpu;
  MESSAGE("skipped, no CUDA kernels in this build");
  return std::nullopt;
}

}  // namespace ppx::test
