// tests/support/host_runner.h: the recorded programs of language model and codec, run on the host.
#pragma once

#include <cstdint>
#include <memory>

#include "nn/cuda/program_runner.h"
#include "support/host_team.h"

namespace ppx::test {

// Where the GPU would replay a graph.
template <class Program>
class HostRunner : public nn::ProgramRunner {
 public:
  explicit HostRunner(Program& program) : program_(program) {}
  int32_t* input() override { return static_cast<int32_t*>(program_.input().data_ptr()); }
  const int32_t* Run() override {
    program_.Enqueue([](const auto& kernel) { RunSerial(kernel); });
    return static_cast<const int32_t*>(program_.output().data_ptr());
  }

  // As a GraphStep's or a GraphCodec's maker of runners.
  static std::unique_ptr<nn::ProgramRunner> Make(Program& program) {
    return std::make_unique<HostRunner>(program);
  }

 protected:
  Program& program_;
};

}  // namespace ppx::test
