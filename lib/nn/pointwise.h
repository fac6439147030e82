// lib/nn/pointwise.h: what a transformer's layer computes row by row between its matrix products.
//
// On the CPU, in float32 and bfloat16, one pass over the rows; a row's result does not depend on
// the other rows nor on their number. The plain versions are written with tensor operations, serve
// other devices and types, and are what the fast ones are checked against.
#pragma once

#include <ATen/ATen.h>

namespace ppx::nn {

inline constexpr float kRmsNormEps = 1e-8F;
// y = x * alpha * rsqrt(mean(x^2) + kRmsNormEps) in float32, cast back to x's type (Zhang and
// Sennrich, arXiv 1910.07467). x: [..., dim], alpha: [dim] f32.
at::Tensor RmsNorm(const at::Tensor& x, const at::Tensor& alpha);
at::Tensor RmsNormPlain(const at::Tensor& x, const at::Tensor& alpha);

// silu(a) * b of x = [a, b] along the last dimension. On the CPU computed in float32 and rounded
// once; the plain version rounds silu(a) too.
at::Tensor SiluGate(const at::Tensor& x);
at::Tensor SiluGatePlain(const at::Tensor& x);

// x times the normal distribution's function at x; not the approximation by tanh.
at::Tensor Gelu(const at::Tensor& x);
at::Tensor GeluPlain(const at::Tensor& x);

}  // namespace ppx::nn
