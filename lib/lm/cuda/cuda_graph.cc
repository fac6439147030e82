// A step's program as a CUDA graph: copy in, kernels and matrix products, copy out.
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>

#include "base/error.h"
#include "lm/cuda/graph_step.h"
#include "lm/cuda/launch.cuh"

namespace ppx::lm {
namespace {

void Check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // so that it is not taken for a later call's
  base::ThrowResource(fmt::format("{}: {}", what, cudaGetErrorString(status)));
}

// Memory that the host and the copies of a graph share.
struct FreePinned {
  void operator()(int32_t* memory) const { cudaFreeHost(memory); }
};
using Pinned = std::unique_ptr<int32_t, FreePinned>;

Pinned AllocatePinned(int64_t words) {
  void* memory = nullptr;
  Check(cudaHostAlloc(&memory, static_cast<size_t>(words) * sizeof(int32_t), cudaHostAllocDefault),
        "pinned memory");
  return Pinned(static_cast<int32_t*>(memory));
}

// What LibTorch's products should allocate while they are recorded (nothing, once they were warmed
// up) stays the graph's own as long as this lives, and no other tensor gets it.
class GraphMemory {
 public:
  GraphMemory(c10::DeviceIndex device, cudaStream_t stream) : device_(device), id_(NextId()) {
    c10::cuda::CUDACachingAllocator::beginAllocateToPool(
        device_, id_, [stream](cudaStream_t used) { return used == stream; });
  }
  GraphMemory(const GraphMemory&) = delete;
  GraphMemory& operator=(const GraphMemory&) = delete;
  ~GraphMemory() {
    Close();
    c10::cuda::CUDACachingAllocator::releasePool(device_, id_);
  }
  // The recording is over.
  void Close() {
    if (!open_) return;
    open_ = false;
    c10::cuda::CUDACachingAllocator::endAllocateToPool(device_, id_);
  }

 private:
  static c10::cuda::MempoolId_t NextId() {
    static std::atomic<uint64_t> count{1};
    // LibTorch leaves one of the two at 0.
    return {uint64_t{1} << 32, count++};
  }

  c10::DeviceIndex device_;
  c10::cuda::MempoolId_t id_;
  bool open_ = true;
};

struct StreamQueue {
  cudaStream_t stream;
  template <class Kernel>
  void operator()(const Kernel& kernel) const {
    Check(cuda::Launch(kernel, stream), "a kernel of the step");
  }
};

class CudaGraph : public StepRunner {
 public:
  explicit CudaGraph(StepProgram& program) : program_(program), device_(program.input().device()) {
    const c10::cuda::CUDAGuard guard(device_);
    words_in_ = program.input().numel();
    words_out_ = program.chosen().numel();
    in_ = AllocatePinned(words_in_);
    out_ = AllocatePinned(words_out_);
    // Rows of padding alone: the warm-up must write to no slot.
    std::fill_n(in_.get(), words_in_, 0);
    const StepRows padding = rows();
    std::fill_n(padding.tokens, int64_t{padding.rows} * padding.streams, kZeroToken);
    std::fill_n(padding.slots, padding.rows, nn::kPadding);
    // What made the weights and the state ran on this stream; the recording is on another.
    Check(cudaStreamSynchronize(c10::cuda::getCurrentCUDAStream(device_.index())), "the GPU");
    Record();
  }
  ~CudaGraph() override {
    if (graph_ != nullptr) cudaGraphExecDestroy(graph_);
  }
  CudaGraph(const CudaGraph&) = delete;
  CudaGraph& operator=(const CudaGraph&) = delete;

  StepRows rows() override {
    return {in_.get(), program_.rows(), program_.streams(),
            static_cast<int>(program_.chosen().size(1))};
  }

  const int32_t* Run() override {
    const c10::cuda::CUDAGuard guard(device_);
    // In the order of all else that uses the state, and over before the host goes on.
    const cudaStream_t stream = c10::cuda::getCurrentCUDAStream(device_.index());
    Check(cudaGraphLaunch(graph_, stream), "the step's graph");
    Check(cudaStreamSynchronize(stream), "the step's graph");
    return out_.get();
  }

 private:
  void Record() {
    const c10::cuda::CUDAStream side =
        c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device_.index());
    const c10::cuda::CUDAStreamGuard guard(side);
    // Once for real: libraries load their kernels and allocate their workspaces.
    Enqueue(side);
    Check(cudaStreamSynchronize(side), "the step's warm-up");

    memory_ = std::make_unique<GraphMemory>(device_.index(), side);
    cudaGraph_t recorded = nullptr;
    // Of this thread alone: others may be using other GPUs.
    Check(cudaStreamBeginCapture(side, cudaStreamCaptureModeThreadLocal), "recording the step");
    try {
      Enqueue(side);
    } catch (...) {
      cudaStreamEndCapture(side, &recorded);
      if (recorded != nullptr) cudaGraphDestroy(recorded);
      cudaGetLastError();
      throw;
    }
    const cudaError_t ended = cudaStreamEndCapture(side, &recorded);
    memory_->Close();
    Check(ended, "recording the step");
    const cudaError_t made = cudaGraphInstantiate(&graph_, recorded, 0);
    cudaGraphDestroy(recorded);
    Check(made, "the step's graph");
  }

  void Enqueue(cudaStream_t stream) {
    Check(cudaMemcpyAsync(program_.input().data_ptr(), in_.get(),
                          static_cast<size_t>(words_in_) * sizeof(int32_t), cudaMemcpyHostToDevice,
                          stream),
          "the step's input");
    program_.Enqueue(StreamQueue{stream});
    Check(cudaMemcpyAsync(out_.get(), program_.chosen().data_ptr(),
                          static_cast<size_t>(words_out_) * sizeof(int32_t), cudaMemcpyDeviceToHost,
                          stream),
          "the step's output");
  }

  StepProgram& program_;
  at::Device device_;
  int64_t words_in_ = 0;
  int64_t words_out_ = 0;
  Pinned in_;
  Pinned out_;
  std::unique_ptr<GraphMemory> memory_;
  cudaGraphExec_t graph_ = nullptr;
};

}  // namespace

std::unique_ptr<StepRunner> RecordCudaGraph(StepProgram& program) {
  return std::make_unique<CudaGraph>(program);
}

}  // namespace ppx::lm
