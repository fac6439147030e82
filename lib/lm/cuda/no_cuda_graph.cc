// Stands in for the CUDA graph in builds without nvcc: the plain step serves.
#include "lm/cuda/graph_step.h"

namespace ppx::lm {

std::unique_ptr<nn::ProgramRunner> RecordCudaGraph(StepProgram& /*program*/) { return nullptr; }

}  // namespace ppx::lm
