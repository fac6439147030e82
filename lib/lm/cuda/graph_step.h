// lib/lm/cuda/graph_step.h: the step of all slots of a state, recorded once and replayed, and the
// trust in it.
//
// On a GPU a step is some 800 small operations, and giving them one by one takes longer than
// running them. Recorded as a CUDA graph they are given at once: tokens in, sampling, tokens out.
//
// A recorded step must earn its place: the first steps run both ways, the plain step's result is
// used, and its hidden state, logits and tokens are compared. Where they disagree, or where nothing
// could be recorded, the plain step serves from then on, and one warning goes to stderr. So it does
// where the environment has PPX_CUDA_GRAPH=0, for a step that is tapped, and for a step whose
// tokens are all provided.
//
// Not thread-safe: one state, one thread.
#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <vector>

#include "lm/cuda/step_program.h"
#include "lm/cuda/step_rows.h"
#include "nn/cuda/program_runner.h"
#include "nn/debug_tap.h"
#include "nn/slot_state.h"

namespace ppx::lm {

struct LmState;

// Records the program, of a CUDA device, for LibTorch's current stream. Null where this build has
// no kernels. Throws base::Error (kResource) or c10::Error where it cannot be recorded. `program`
// outlives the runner.
std::unique_ptr<nn::ProgramRunner> RecordCudaGraph(StepProgram& program);

class GraphStep {
 public:
  // Without a program or a runner it is unusable from the start.
  GraphStep(LmConfig config, std::unique_ptr<StepProgram> program,
            std::unique_ptr<nn::ProgramRunner> runner);

  // False where the plain step serves.
  bool usable() const { return usable_; }
  // True when the comparisons are over.
  bool trusted() const { return usable_ && left_to_check_ == 0; }

  // One step of the rows `live`, at most the program's, at the positions that their slots are at.
  // Writes keys and values, moves no counter. The tokens [live.size(), 1 + codebooks] int64 in host
  // memory; undefined where there is nothing to choose or no room for the rows.
  at::Tensor Run(const nn::SlotIds& live, const std::vector<int64_t>& positions,
                 const LmState& state);

  // Between Run and Judge the caller runs the plain step of the same rows, with this tap ...
  nn::DebugTap Witness();
  // ... and brings the tokens that it chose, [n, 1 + codebooks] int64.
  void Judge(const nn::SlotIds& live, const at::Tensor& plain_tokens, const LmState& state);

 private:
  bool Agrees(const nn::SlotIds& live, const at::Tensor& plain_tokens, const LmState& state) const;

  LmConfig config_;
  std::unique_ptr<StepProgram> program_;
  std::unique_ptr<nn::ProgramRunner> runner_;  // before the program goes
  bool usable_;
  int left_to_check_;
  at::Tensor tokens_;  // of the last Run
  // Of the plain step, [n, ...]; undefined where it needed none.
  at::Tensor plain_hidden_;
  at::Tensor plain_text_logits_;
  at::Tensor plain_audio_logits_;
};

}  // namespace ppx::lm
