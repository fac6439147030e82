// tests/support/seed.h: the same random numbers in every run.
#pragma once

#include <ATen/CPUGeneratorImpl.h>

#include <cstdint>
#include <mutex>

namespace ppx::test {

// Of the CPU's numbers alone: at::manual_seed asks for GPUs, and before the device is opened
// LibTorch would remember for the rest of the process that there are none.
inline void Seed(uint64_t seed) {
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard<std::mutex> lock(generator.mutex());
  generator.set_current_seed(seed);
}

}  // namespace ppx::test
