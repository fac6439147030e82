// tests/bench/costs.h: what the stages of a step must read and compute at least, from the
// configuration alone.
//
// Counted: every weight that a step touches, once however many rows there are; the keys and values
// that attention looks at, once a row; two operations for each multiplication with a weight, key or
// value. Not counted: activations, biases, norms, softmax, sampling. So a floor made of these is
// one that no program can undercut, and that a good one comes near.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "engine/engine.h"

namespace ppx::bench {

// The parts of a step, in the order in which they run.
enum class Stage { kEncode, kTemporal, kTextLogits, kDepth, kSampling, kDecode };
inline constexpr size_t kStages = 6;
inline constexpr std::array<Stage, kStages> kAllStages{Stage::kEncode,     Stage::kTemporal,
                                                       Stage::kTextLogits, Stage::kDepth,
                                                       Stage::kSampling,   Stage::kDecode};
const char* StageName(Stage stage);

// True for the codec's stages, which compute in float32 whatever the language model does.
bool IsCodec(Stage stage);

struct Work {
  double weight_bytes = 0;
  double state_bytes = 0;  // keys and values
  double flops = 0;

  double bytes() const { return weight_bytes + state_bytes; }
};

// How far the rings are filled: positions that one query looks at.
struct Positions {
  double lm = 0;     // steps
  double codec = 0;  // steps of the codec's transformers
};

// Sizes of the language model's numbers.
struct ElementBytes {
  double weight = 0;  // of its matrices
  double state = 0;   // of keys, values and embeddings
};

// One step of `rows` rows.
Work StageWork(Stage stage, const engine::ModelConfig& config, int rows, const Positions& positions,
               const ElementBytes& bytes);

// `steps` steps of one slot at once, from an empty ring, without the depth transformer.
Work PrefillWork(const lm::LmConfig& config, int64_t steps, const ElementBytes& bytes);

}  // namespace ppx::bench
