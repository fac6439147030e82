// lib/nn/cuda/cuda_graph.h: a list of operations recorded as a CUDA graph: copy in, kernels and
// matrix products, copy out. For builds with CUDA.
#pragma once

#include <ATen/ATen.h>
#include <cuda_runtime_api.h>

#include <cstdint>
#include <functional>
#include <memory>

#include "nn/cuda/launch.h"
#include "nn/cuda/program_runner.h"

namespace ppx::nn::cuda {

// Throws base::Error (kResource) where `status` is an error.
void Check(cudaError_t status, const char* what);

class GraphMemory;

// Not thread-safe. What the operations read and write outlives it.
class CudaGraph : public ProgramRunner {
 public:
  // `input` and `output`: contiguous, of 32-bit numbers, on the GPU.
  CudaGraph(const at::Tensor& input, const at::Tensor& output);
  ~CudaGraph() override;

  // Runs the program's operations and then records them. The first run is for libraries to load
  // their kernels and allocate their workspaces; the caller has filled input() with what leaves no
  // trace.
  template <class Program>
  void Record(Program& program) {
    RecordOperations([&](cudaStream_t stream) {
      program.Enqueue([&](const auto& kernel) { Check(Launch(kernel, stream), "a kernel"); });
    });
  }

  // Pinned; zeros at first.
  int32_t* input() override { return in_.get(); }
  // Behind all that was put on LibTorch's current stream before.
  const int32_t* Run() override;

 private:
  struct FreePinned {
    void operator()(int32_t* memory) const { cudaFreeHost(memory); }
  };
  using Pinned = std::unique_ptr<int32_t, FreePinned>;
  static Pinned AllocatePinned(const at::Tensor& tensor);
  // `enqueue` puts the operations on the stream, which is LibTorch's current one.
  void RecordOperations(const std::function<void(cudaStream_t)>& enqueue);
  void Enqueue(const std::function<void(cudaStream_t)>& enqueue, cudaStream_t stream);

  at::Tensor input_;
  at::Tensor output_;
  Pinned in_;
  Pinned out_;
  std::unique_ptr<GraphMemory> memory_;
  cudaGraphExec_t graph_ = nullptr;
};

}  // namespace ppx::nn::cuda
