// tests/unit/lm/host_runner.h: the language model's recorded step, run on the host.
#pragma once

#include "lm/cuda/graph_step.h"
#include "support/host_team.h"

namespace ppx::test {

// A step's program run on the host, where the GPU would replay a graph.
class HostRunner : public lm::StepRunner {
 public:
  explicit HostRunner(lm::StepProgram& program) : program_(program) {}
  lm::StepRows rows() override {
    return {program_.input().data_ptr(), program_.rows(), program_.streams(),
            static_cast<int>(program_.chosen().size(1))};
  }
  const int32_t* Run() override {
    const auto queue = [](const auto& kernel) { RunSerial(kernel); };
    program_.Enqueue(queue);
    return program_.chosen().const_data_ptr<int32_t>();
  }

 protected:
  lm::StepProgram& program_;
};

}  // namespace ppx::test
