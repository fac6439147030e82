// A step's program as a CUDA graph.
#include "nn/cuda/cuda_graph.h"

#include <algorithm>

#include "lm/cuda/graph_step.h"
#include "lm/cuda/launch.cuh"

namespace ppx::lm {
namespace {

struct StreamQueue {
  cudaStream_t stream;
  template <class Kernel>
  void operator()(const Kernel& kernel) const {
    nn::cuda::Check(cuda::Launch(kernel, stream), "a kernel of the step");
  }
};

class CudaGraph : public StepRunner {
 public:
  explicit CudaGraph(StepProgram& program)
      : program_(program), graph_(program.input(), program.chosen()) {
    // Rows of padding alone: the warm-up must write to no slot.
    const StepRows padding = rows();
    std::fill_n(padding.tokens, int64_t{padding.rows} * padding.streams, kZeroToken);
    std::fill_n(padding.slots, padding.rows, nn::kPadding);
    graph_.Record([&](cudaStream_t stream) { program_.Enqueue(StreamQueue{stream}); });
  }

  StepRows rows() override {
    return {graph_.input(), program_.rows(), program_.streams(),
            static_cast<int>(program_.chosen().size(1))};
  }
  const int32_t* Run() override { return graph_.Run(); }

 private:
  StepProgram& program_;
  nn::cuda::CudaGraph graph_;
};

}  // namespace

std::unique_ptr<StepRunner> RecordCudaGraph(StepProgram& program) {
  return std::make_unique<CudaGraph>(program);
}

}  // namespace ppx::lm
