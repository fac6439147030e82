// tests/bench/stages.h: the time that a step and its parts take on a loaded model.
//
// A step here is what the engine does for one frame of all slots: encode, one step of the language
// model, decode, with the copies to and from the device. It is put together from the codec and the
// language model themselves, with states of its own.
//
// Call from one thread, under c10::InferenceMode. Weights are random or not: sampling is the only
// part whose time depends on them, and little.
#pragma once

#include <cstdint>
#include <vector>

#include "bench/costs.h"
#include "bench/machine.h"
#include "engine/engine.h"

namespace ppx::bench {

struct StepPlan {
  int slots = 1;
  int frames = 1;      // measured twice: as a whole, and stage by stage, in turns
  int warm_up = 0;     // the same, thrown away
  int64_t fill = 0;    // steps in each slot's ring before that
  int codec_fill = 0;  // frames that each codec state has seen before that
};

struct StepTimes {
  int slots = 0;
  std::vector<double> whole_s;                       // one a frame
  std::array<std::vector<double>, kStages> stage_s;  // one a frame of the other turns
  Positions positions;                               // in the middle of what was measured
  int64_t minor_faults = 0;
  int64_t major_faults = 0;
  int64_t anonymous_bytes = 0;  // resident, while the slots were there
};

// The steps that `frames` of one plan take in a ring, for EngineOptions::max_steps.
int64_t StepsNeeded(const StepPlan& plan);

// Throws what LibTorch throws where the memory does not hold so many slots.
StepTimes MeasureSteps(const engine::Engine& engine, const StepPlan& plan);

// One slot's prompt of so many steps, from an empty ring: seconds, the mean of a few.
double MeasurePrefill(const engine::Engine& engine, int64_t steps);

// The codec with many frames of one slot in a call: seconds a frame.
struct PieceTimes {
  double encode_s = 0;
  double decode_s = 0;
};
PieceTimes MeasurePieces(const engine::Engine& engine, int frames);

}  // namespace ppx::bench
