// lib/engine/device.h: where the model runs, and in which precision.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <string>
#include <vector>

namespace ppx::engine {

// "cpu", "cuda" (the first GPU) or "cuda:N". Loads LibTorch's CUDA half when it is first asked for,
// so that the CPU path starts fast and runs where no CUDA libraries are installed.
// Throws base::Error: kUsage for another name, kResource where the device is not to be had.
at::Device OpenDevice(const std::string& name);

// "f32" or "bf16". Throws kUsage for another name.
at::ScalarType ParseDtype(const std::string& name);
std::string DtypeName(at::ScalarType dtype);

// The processor's or the GPU's own name, for the run record; "CUDA device N" where the driver does
// not tell.
std::string DeviceDescription(const at::Device& device);

// "cuda:0", "cuda:1", ...: all GPUs that are visible. Throws kResource where there is none.
std::vector<std::string> AllGpus();

// Bytes that can be had now: of a GPU's own memory; on the CPU of the machine's and of the control
// group's limit, whichever is less. What the page cache holds counts as free.
int64_t FreeMemoryBytes(const at::Device& device);

// The same arithmetic on every run: no TF32, sums of bfloat16 products in float32, deterministic
// cuDNN, no autotuning. `threads` 0 leaves LibTorch's choice.
void ConfigureArithmetic(int threads);

}  // namespace ppx::engine
