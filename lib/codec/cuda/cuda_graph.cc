// A frame's program as a CUDA graph.
#include "nn/cuda/cuda_graph.h"

#include <algorithm>

#include "codec/cuda/graph_codec.h"
#include "codec/cuda/launch.cuh"

namespace ppx::codec {
namespace {

struct StreamQueue {
  cudaStream_t stream;
  template <class Kernel>
  void operator()(const Kernel& kernel) const {
    nn::cuda::Check(cuda::Launch(kernel, stream), "a kernel of the codec");
  }
};

class CudaGraph : public CodecRunner {
 public:
  explicit CudaGraph(CodecProgram& program)
      : program_(program), graph_(program.input(), program.output()) {
    // Rows of padding alone: the warm-up must write to no slot.
    std::fill_n(rows().slots, program.rows(), nn::kPadding);
    graph_.Record([&](cudaStream_t stream) { program_.Enqueue(StreamQueue{stream}); });
  }

  FrameRows rows() override { return {graph_.input(), program_.rows()}; }
  const int32_t* Run() override { return graph_.Run(); }

 private:
  CodecProgram& program_;
  nn::cuda::CudaGraph graph_;
};

}  // namespace

std::unique_ptr<CodecRunner> RecordCudaGraph(CodecProgram& program) {
  return std::make_unique<CudaGraph>(program);
}

}  // namespace ppx::codec
