// tests/bench/machine.h: what the machine can do, measured, and what it is.
//
// Everything is measured with the threads that LibTorch is set to, as the engine uses them. Call
// from one thread, under c10::InferenceMode.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kernels/packed_matrix.h"

namespace ppx::bench {

// Waits until the device has done all it was given. Nothing on the CPU.
void Synchronize(const at::Device& device);

// Seconds of a monotonic clock.
double Now();

// How fast memory can be read: sums over a buffer that no cache holds, in large pages where the
// system gives them. On a GPU: copies within its memory, bytes read and written.
class Bandwidth {
 public:
  Bandwidth(const at::Device& device, int64_t buffer_bytes);
  double Measure() const;  // bytes a second, over a quarter of a second

 private:
  double MeasureReading() const;
  double MeasureCopies() const;

  at::Device device_;
  at::Tensor buffer_;  // [n] int64
  at::Tensor target_;  // the same on a GPU, else undefined
};

// Operations a second of a product of two square matrices through LibTorch, the best of a few.
double MatrixRate(const at::Device& device, at::ScalarType dtype, int64_t size);

// The product that steps are made of: few rows times a matrix that comes from memory.
struct LinearRate {
  int rows = 0;
  double seconds = 0;      // of one product, the mean
  double bytes_per_s = 0;  // of the matrix as it lies in memory
  double operations_per_s = 0;
  double libtorch_s = 0;  // of LibTorch's product with the same matrix in `dtype`
};

// x [rows, inputs] times a matrix [outputs, inputs]: packed in `form` (on a GPU kInt8 alone, as a
// quantised tensor and without the kernels of a recorded step; as the tensor where there is none),
// and as a tensor of `dtype` through LibTorch, in turns. As many different matrices as fill
// `buffer_bytes`, at most 64.
std::vector<LinearRate> LinearRates(const at::Device& device, at::ScalarType dtype,
                                    std::optional<kernels::WeightForm> form, int64_t outputs,
                                    int64_t inputs, const std::vector<int>& rows,
                                    int64_t buffer_bytes);

// Of this process so far.
struct MemoryUse {
  int64_t peak_bytes = 0;         // resident, mapped weights included
  int64_t anonymous_bytes = 0;    // resident now, without files
  int64_t device_peak_bytes = 0;  // that LibTorch had allocated on a GPU
  int64_t minor_faults = 0;
  int64_t major_faults = 0;  // pages that had to be read from the disk
};
MemoryUse ReadMemoryUse(const at::Device& device);

struct MachineFacts {
  std::string cpu;
  int cores = 0;                       // that this process may run on
  std::vector<std::string> cpu_flags;  // those that matter to matrix products
  int64_t memory_bytes = 0;
  std::string huge_pages;      // the system's setting, "" where there is none
  std::string cpu_capability;  // what LibTorch makes of the flags
};
MachineFacts ReadMachineFacts();

}  // namespace ppx::bench
