#include "nn/pointwise.h"

#include <algorithm>
#include <vector>

#include "kernels/loops.h"
#include "kernels/parallel.h"

namespace ppx::nn {
namespace {

// A thread is worth its start from about so many elements on.
constexpr int64_t kElementsPerTask = 1 << 13;

bool HasLoops(const at::Tensor& x) {
  return x.is_cpu() && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16);
}

// Calls work(x, y) with pointers to float or kernels::Bf16.
template <typename Work>
void WithData(const at::Tensor& x, at::Tensor& y, const Work& work) {
  if (x.scalar_type() == at::kFloat) {
    work(x.const_data_ptr<float>(), y.data_ptr<float>());
  } else {
    work(static_cast<const kernels::Bf16*>(x.const_data_ptr()),
         static_cast<kernels::Bf16*>(y.data_ptr()));
  }
}

// Calls work(begin, end) for parts of [0, count).
template <typename Work>
void InParts(int64_t count, int64_t parts, const Work& work) {
  kernels::ParallelFor(
      parts, [&](int64_t part) { work(count * part / parts, count * (part + 1) / parts); });
}

}  // namespace

at::Tensor RmsNorm(const at::Tensor& x, const at::Tensor& alpha) {
  if (!HasLoops(x) || x.numel() == 0) return RmsNormPlain(x, alpha);
  const at::Tensor packed = x.contiguous();
  at::Tensor result = at::empty(packed.sizes(), packed.options());
  const int64_t dim = x.size(-1);
  const int64_t rows = x.numel() / dim;
  const float* weights = alpha.const_data_ptr<float>();
  WithData(packed, result, [&]<typename T>(const T* from, T* to) {
    InParts(rows, std::clamp<int64_t>(x.numel() / kElementsPerTask, 1, rows),
            [&](int64_t begin, int64_t end) {
              for (int64_t row = begin; row < end; ++row) {
                kernels::CurrentLoops<T>().rms_norm(from + row * dim, weights, dim, kRmsNormEps,
                                                    to + row * dim);
              }
            });
  });
  return result;
}

at::Tensor RmsNormPlain(const at::Tensor& x, const at::Tensor& alpha) {
  const at::Tensor wide = x.to(at::kFloat);
  const at::Tensor inverse = wide.square().mean(-1, /*keepdim=*/true).add_(kRmsNormEps).rsqrt_();
  return (wide * (alpha * inverse)).to(x.scalar_type());
}

at::Tensor SiluGate(const at::Tensor& x) {
  if (!HasLoops(x)) return SiluGatePlain(x);
  const at::Tensor packed = x.contiguous();
  const int64_t half = x.size(-1) / 2;
  std::vector<int64_t> shape = x.sizes().vec();
  shape.back() = half;
  at::Tensor result = at::empty(shape, packed.options());
  const int64_t count = result.numel();
  WithData(packed, result, [&]<typename T>(const T* from, T* to) {
    InParts(count, std::max<int64_t>(count / kElementsPerTask, 1), [&](int64_t begin, int64_t end) {
      while (begin < end) {
        const int64_t row = begin / half;
        const int64_t here = std::min(end, (row + 1) * half) - begin;
        const T* a = from + row * half + begin;  // row * 2 * half and begin - row * half
        kernels::CurrentLoops<T>().silu_gate(a, a + half, here, to + begin);
        begin += here;
      }
    });
  });
  return result;
}

at::Tensor SiluGatePlain(const at::Tensor& x) {
  const int64_t half = x.size(-1) / 2;
  return at::silu(x.narrow(-1, 0, half)).mul_(x.narrow(-1, half, half));
}

at::Tensor Gelu(const at::Tensor& x) {
  if (!x.is_cpu() || x.scalar_type() != at::kFloat) return GeluPlain(x);
  const at::Tensor packed = x.contiguous();
  at::Tensor result = at::empty(packed.sizes(), packed.options());
  const int64_t count = result.numel();
  const float* from = packed.const_data_ptr<float>();
  float* to = result.data_ptr<float>();
  InParts(count, std::max<int64_t>(count / kElementsPerTask, 1), [&](int64_t begin, int64_t end) {
    kernels::CurrentGelu()(from + begin, to + begin, end - begin);
  });
  return result;
}

at::Tensor GeluPlain(const at::Tensor& x) { return at::gelu(x); }

}  // namespace ppx::nn
