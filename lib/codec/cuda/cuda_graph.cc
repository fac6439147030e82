// A frame's program as a CUDA graph.
#include "nn/cuda/cuda_graph.h"

#include <algorithm>

#include "codec/cuda/graph_codec.h"

namespace ppx::codec {

std::unique_ptr<nn::ProgramRunner> RecordCudaGraph(CodecProgram& program) {
  auto graph = std::make_unique<nn::cuda::CudaGraph>(program.input(), program.output());
  // Rows of padding alone: the warm-up must write to no slot.
  std::fill_n(program.RowsIn(graph->input()).slots, program.rows(), nn::kPadding);
  graph->Record(program);
  return graph;
}

}  // namespace ppx::codec
