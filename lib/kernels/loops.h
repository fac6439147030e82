// lib/kernels/loops.h: what is computed row by row beside the matrix products: attention of one
// head, rotary embedding, RMSNorm, SiLU gate, activations; one set of loops for each instruction
// set.
//
// Sums are in float32, and their order is a function of the sizes named here alone. So a result
// depends neither on what is computed beside it nor on the number of threads; across instruction
// sets it differs in the last bits, but for ELU. One call runs on the calling thread; calls share
// nothing.
#pragma once

#include <cstdint>

#include "kernels/matmul.h"

namespace ppx::kernels {

// Keys and values of one head: position p lies in cell p % capacity of [capacity, dim].
template <typename T>
struct HeadRing {
  const T* keys = nullptr;
  const T* values = nullptr;
  int64_t capacity = 0;
  int64_t dim = 0;
};

// One query and the positions [first, last) that it sees: at least one, at most `capacity`.
template <typename T>
struct AttentionQuery {
  const T* query = nullptr;  // [dim]
  int64_t first = 0;
  int64_t last = 0;
  T* output = nullptr;  // [dim]
};

// Floats that `attend` needs, for queries that see up to `longest` positions.
constexpr int64_t AttentionScratch(int64_t longest, int64_t dim) {
  constexpr int64_t kMostQueries = 4;
  constexpr int64_t kWidest = 16;
  return kMostQueries * (longest + dim + 3 * kWidest);
}

// T is float or Bf16.
template <typename T>
struct Loops {
  // output = sum of weight(p) * value(p) over the positions p that a query sees, with the weights
  // softmax(scale * (query . key(p))). What a query gets does not depend on the queries beside it;
  // keys and values are read once for several neighbours that see the same positions. The weights'
  // exponentials have a relative error below 2e-7.
  void (*attend)(const HeadRing<T>& ring, const AttentionQuery<T>* queries, int64_t count,
                 float scale, float* scratch);
  // Rotary embedding of x [dim] by the angles of `rope_angles`, dim even; y may be x.
  void (*rotate)(const T* x, const float* cos, const float* sin, int64_t dim, T* y);
  // y = x * alpha / sqrt(mean(x^2) + epsilon), all [dim].
  void (*rms_norm)(const T* x, const float* alpha, int64_t dim, float epsilon, T* y);
  // y = silu(a) * b = a / (1 + e^-a) * b, all [count]; silu with a relative error below 5e-7 where
  // it is not denormal.
  void (*silu_gate)(const T* a, const T* b, int64_t count, T* y);
};

// Cosines and sines of position * frequencies[i], the product rounded to float32, as `rotate` reads
// them: cos [2 * pairs] has each cosine twice, sin [2 * pairs] each sine negated and as it is.
// Correct to the last bit or the one before for angles up to 1e7.
using RopeAngles = void (*)(float position, const float* frequencies, int64_t pairs, float* cos,
                            float* sin);

// Activations of the codec. NaN stays NaN; the bits of y[i] depend on x[i] alone, not on its place.
// y may be x.
//   ELU   x where x > 0, else exp(x) - 1, to within 2 units in the last place; the same bits on
//         every machine
//   GELU  x times the normal distribution's function at x (Hendrycks and Gimpel, arXiv 1606.08415):
//         to within 1e-6 of itself for x > -5, where it is far below float32's steps at 1
using Activation = void (*)(const float* x, float* y, int64_t count);

// Those of CurrentIsa().
template <typename T>
const Loops<T>& CurrentLoops();
template <>
const Loops<float>& CurrentLoops();
template <>
const Loops<Bf16>& CurrentLoops();
RopeAngles CurrentRopeAngles();
Activation CurrentElu();
Activation CurrentGelu();

}  // namespace ppx::kernels
