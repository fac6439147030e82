// A step's program as a CUDA graph.
#include "nn/cuda/cuda_graph.h"

#include <algorithm>

#include "lm/cuda/graph_step.h"

namespace ppx::lm {

std::unique_ptr<nn::ProgramRunner> RecordCudaGraph(StepProgram& program) {
  auto graph = std::make_unique<nn::cuda::CudaGraph>(program.input(), program.output());
  // Rows of padding alone: the warm-up must write to no slot.
  const StepRows padding = program.RowsIn(graph->input());
  std::fill_n(padding.tokens, int64_t{padding.rows} * padding.streams, kZeroToken);
  std::fill_n(padding.slots, padding.rows, nn::kPadding);
  graph->Record(program);
  return graph;
}

}  // namespace ppx::lm
