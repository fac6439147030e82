// One thread block a (row, head). The block walks the steps in order, appends a streaming block's
// keys and values, and attends with an online softmax (Milakov and Gimelshein, arXiv 1805.02867):
// each warp takes every n-th key and keeps its own maximum, sum and weighted values; the warps are
// merged in a fixed order, so the result does not depend on the other rows.
#include <cuda_bf16.h>

#include <cfloat>

#include "nn/cuda/ring_attention.cuh"

namespace ppx::nn::cuda {
namespace {

constexpr int kWarp = 32;
constexpr int kWarps = 4;
constexpr int kWidestHead = RingAttentionArguments::kWidestHead;
constexpr int kLaneValues = kWidestHead / kWarp;

__device__ float ToFloat(float x) { return x; }
__device__ float ToFloat(__nv_bfloat16 x) { return __bfloat162float(x); }
template <typename T>
__device__ T FromFloat(float x);
template <>
__device__ float FromFloat<float>(float x) {
  return x;
}
template <>
__device__ __nv_bfloat16 FromFloat<__nv_bfloat16>(float x) {
  return __float2bfloat16(x);
}

// Element i of a vector, rotated for `position` where there are frequencies.
template <typename T>
__device__ T Rotated(const T* x, int i, int64_t position, const float* frequencies) {
  if (frequencies == nullptr) return x[i];
  const float angle = static_cast<float>(position) * frequencies[i / 2];
  float sine;
  float cosine;
  sincosf(angle, &sine, &cosine);
  const float x0 = ToFloat(x[i & ~1]);
  const float x1 = ToFloat(x[i | 1]);
  return FromFloat<T>((i & 1) == 0 ? x0 * cosine - x1 * sine : x0 * sine + x1 * cosine);
}

template <typename T>
__global__ void RingAttentionKernel(RingAttentionArguments a) {
  const int64_t row = blockIdx.x / a.heads;
  const int head = static_cast<int>(blockIdx.x % a.heads);
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int64_t stride = static_cast<int64_t>(a.heads) * a.dim;
  const T* packed = static_cast<const T*>(a.qkv);
  T* output = static_cast<T*>(a.output);
  const auto packed_at = [&](int64_t t, int part) {
    return packed + ((row * a.steps + t) * 3 + part) * stride + static_cast<int64_t>(head) * a.dim;
  };
  const auto output_at = [&](int64_t t) {
    return output + (row * a.steps + t) * stride + static_cast<int64_t>(head) * a.dim;
  };
  const int64_t capacity = a.capacities[row];
  if (capacity == 0) {
    for (int64_t t = 0; t < a.steps; ++t) {
      for (int i = static_cast<int>(threadIdx.x); i < a.dim; i += blockDim.x) {
        output_at(t)[i] = FromFloat<T>(0.0F);
      }
    }
    return;
  }
  const int64_t ring = (a.firsts[row] * a.heads + head * capacity) * a.dim;
  T* keys = static_cast<T*>(a.keys) + ring;
  T* values = static_cast<T*>(a.values) + ring;
  const int64_t offset = a.offsets[row];
  const float scale = rsqrtf(static_cast<float>(a.dim));

  __shared__ float query[kWidestHead];
  __shared__ float warp_max[kWarps];
  __shared__ float warp_sum[kWarps];
  __shared__ float warp_value[kWarps][kWidestHead];

  for (int64_t first = 0; first < a.steps; first += a.block) {
    const int64_t end = first + a.block < a.steps ? first + a.block : a.steps;
    for (int64_t t = first; t < end; ++t) {
      const int64_t cell = (offset + t) % capacity * a.dim;
      for (int i = static_cast<int>(threadIdx.x); i < a.dim; i += blockDim.x) {
        keys[cell + i] = Rotated(packed_at(t, 1), i, offset + t, a.inverse_frequencies);
        values[cell + i] = packed_at(t, 2)[i];
      }
    }
    for (int64_t t = first; t < end; ++t) {
      const int64_t at = offset + t;
      int64_t lowest = a.mask_next_slot ? offset + end - 1 - a.context + 2 : at - a.context + 1;
      if (lowest > at) lowest = at;
      if (lowest < 0) lowest = 0;
      for (int i = static_cast<int>(threadIdx.x); i < a.dim; i += blockDim.x) {
        query[i] = ToFloat(Rotated(packed_at(t, 0), i, at, a.inverse_frequencies)) * scale;
      }
      __syncthreads();  // the query, and the keys and values appended above

      float highest = -FLT_MAX;
      float total = 0;
      float weighted[kLaneValues];
      for (int j = 0; j < kLaneValues; ++j) weighted[j] = 0;
      for (int64_t p = lowest + warp; p <= at; p += kWarps) {
        const int64_t cell = p % capacity * a.dim;
        float score = 0;
        for (int i = lane; i < a.dim; i += kWarp) score += query[i] * ToFloat(keys[cell + i]);
        for (int step = kWarp / 2; step > 0; step /= 2) {
          score += __shfl_xor_sync(0xffffffffU, score, step);
        }
        const float raised = fmaxf(highest, score);
        const float keep = __expf(highest - raised);
        const float weight = __expf(score - raised);
        total = total * keep + weight;
        for (int j = 0; j < kLaneValues; ++j) {
          const int i = lane + j * kWarp;
          if (i < a.dim) weighted[j] = weighted[j] * keep + weight * ToFloat(values[cell + i]);
        }
        highest = raised;
      }
      if (lane == 0) {
        warp_max[warp] = highest;
        warp_sum[warp] = total;
      }
      for (int j = 0; j < kLaneValues; ++j) {
        const int i = lane + j * kWarp;
        if (i < a.dim) warp_value[warp][i] = weighted[j];
      }
      __syncthreads();
      float overall = warp_max[0];
      for (int w = 1; w < kWarps; ++w) overall = fmaxf(overall, warp_max[w]);
      float sum = 0;
      for (int w = 0; w < kWarps; ++w) sum += warp_sum[w] * __expf(warp_max[w] - overall);
      for (int i = static_cast<int>(threadIdx.x); i < a.dim; i += blockDim.x) {
        float value = 0;
        for (int w = 0; w < kWarps; ++w) value += warp_value[w][i] * __expf(warp_max[w] - overall);
        output_at(t)[i] = FromFloat<T>(value / sum);
      }
      __syncthreads();  // before the next step overwrites the shared arrays or the ring
    }
  }
}

}  // namespace

cudaError_t LaunchRingAttention(const RingAttentionArguments& arguments, cudaStream_t stream) {
  const auto blocks = static_cast<unsigned>(arguments.rows * arguments.heads);
  if (arguments.bf16) {
    RingAttentionKernel<__nv_bfloat16><<<blocks, kWarps * kWarp, 0, stream>>>(arguments);
  } else {
    RingAttentionKernel<float><<<blocks, kWarps * kWarp, 0, stream>>>(arguments);
  }
  return cudaGetLastError();
}

}  // namespace ppx::nn::cuda
