// Stands in for the CUDA graph in builds without nvcc: the plain path serves.
#include "codec/cuda/graph_codec.h"

namespace ppx::codec {

std::unique_ptr<nn::ProgramRunner> RecordCudaGraph(CodecProgram& /*program*/) { return nullptr; }

}  // namespace ppx::codec
