// lib/nn/cuda/program_runner.h: what runs a program: a list of operations on fixed memory that can
// be recorded once and replayed. A program has
//   Enqueue(queue)   all operations in order: queue(kernel) for those of team.cuh
//   input(), output()   the tensors that they read and leave, of 32-bit numbers
#pragma once

#include <cstdint>

namespace ppx::nn {

// A CUDA graph; in tests the host.
class ProgramRunner {
 public:
  ProgramRunner() = default;
  ProgramRunner(const ProgramRunner&) = delete;
  ProgramRunner& operator=(const ProgramRunner&) = delete;
  virtual ~ProgramRunner() = default;
  // Host memory that the next Run reads, laid out as the program's input.
  virtual int32_t* input() = 0;
  // The program's output, in host memory until the next Run. Done when it returns, on the device
  // too.
  virtual const int32_t* Run() = 0;
};

}  // namespace ppx::nn
