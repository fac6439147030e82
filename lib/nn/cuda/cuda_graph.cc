#include "nn/cuda/cuda_graph.h"

#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <map>

#include "base/error.h"

namespace ppx::nn::cuda {

void Check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // so that it is not taken for a later call's
  base::ThrowResource(fmt::format("{}: {}", what, cudaGetErrorString(status)));
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

namespace {

// One for all recordings of a thread: LibTorch keeps 32 MB for every stream that it has multiplied
// on. Graphs may share them, for a thread replays one after the other.
c10::cuda::CUDAStream RecordingStream(c10::DeviceIndex device) {
  thread_local std::map<c10::DeviceIndex, c10::cuda::CUDAStream> streams;
  const auto found = streams.find(device);
  if (found != streams.end()) return found->second;
  const c10::cuda::CUDAStream stream =
      c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device);
  return streams.emplace(device, stream).first->second;
}

}  // namespace

CudaGraph::Pinned CudaGraph::AllocatePinned(const at::Tensor& tensor) {
  void* memory = nullptr;
  Check(cudaHostAlloc(&memory, tensor.nbytes(), cudaHostAllocDefault), "pinned memory");
  return Pinned(static_cast<int32_t*>(memory));
}

CudaGraph::CudaGraph(const at::Tensor& input, const at::Tensor& output)
    : input_(input), output_(output) {
  const c10::cuda::CUDAGuard guard(input.device());
  in_ = AllocatePinned(input);
  out_ = AllocatePinned(output);
  std::fill_n(in_.get(), input.numel(), 0);
}

CudaGraph::~CudaGraph() {
  if (graph_ != nullptr) cudaGraphExecDestroy(graph_);
}

void CudaGraph::RecordOperations(const std::function<void(cudaStream_t)>& enqueue) {
  const c10::DeviceIndex device = input_.device().index();
  const c10::cuda::CUDAGuard device_guard(input_.device());
  // What made the weights and the state ran on this stream; the recording is on another.
  Check(cudaStreamSynchronize(c10::cuda::getCurrentCUDAStream(device)), "the GPU");
  const c10::cuda::CUDAStream side = RecordingStream(device);
  const c10::cuda::CUDAStreamGuard guard(side);
  try {
    Enqueue(enqueue, side);
  } catch (...) {
    cudaStreamSynchronize(side);  // what was begun uses memory that is given back now
    throw;
  }
  Check(cudaStreamSynchronize(side), "the graph's warm-up");

  memory_ = std::make_unique<GraphMemory>(device, side);
  cudaGraph_t recorded = nullptr;
  // Of this thread alone: others may be using other GPUs.
  Check(cudaStreamBeginCapture(side, cudaStreamCaptureModeThreadLocal), "recording the graph");
  try {
    Enqueue(enqueue, side);
  } catch (...) {
    cudaStreamEndCapture(side, &recorded);
    if (recorded != nullptr) cudaGraphDestroy(recorded);
    cudaGetLastError();
    throw;
  }
  const cudaError_t ended = cudaStreamEndCapture(side, &recorded);
  memory_->Close();
  Check(ended, "recording the graph");
  const cudaError_t made = cudaGraphInstantiate(&graph_, recorded, 0);
  cudaGraphDestroy(recorded);
  Check(made, "the graph");
}

void CudaGraph::Enqueue(const std::function<void(cudaStream_t)>& enqueue, cudaStream_t stream) {
  Check(cudaMemcpyAsync(input_.data_ptr(), in_.get(), input_.nbytes(), cudaMemcpyHostToDevice,
                        stream),
        "the graph's input");
  enqueue(stream);
  Check(cudaMemcpyAsync(out_.get(), output_.data_ptr(), output_.nbytes(), cudaMemcpyDeviceToHost,
                        stream),
        "the graph's output");
}

const int32_t* CudaGraph::Run() {
  const c10::cuda::CUDAGuard guard(input_.device());
  const cudaStream_t stream = c10::cuda::getCurrentCUDAStream(input_.device().index());
  Check(cudaGraphLaunch(graph_, stream), "the graph");
  Check(cudaStreamSynchronize(stream), "the graph");
  return out_.get();
}

}  // namespace ppx::nn::cuda
