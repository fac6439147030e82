#include "annotate/real_fft.h"

#include <algorithm>

#include "base/error.h"

namespace ppx::annotate {
namespace {

kiss_fftr_state* Allocate(int size, bool inverse) {
  if (size < 2 || size % 2 != 0) base::ThrowInternal("a Fourier transform of an odd size");
  kiss_fftr_state* state = kiss_fftr_alloc(size, inverse ? 1 : 0, nullptr, nullptr);
  if (state == nullptr) base::ThrowResource("not enough memory for a Fourier transform");
  return state;
}

}  // namespace

RealFft::RealFft(int size)
    : size_(size),
      state_(Allocate(size, false)),
      input_(static_cast<size_t>(size)),
      bins_(static_cast<size_t>(size / 2 + 1)),
      power_(bins_.size()) {}

int RealFft::FastSize(int at_least) { return 2 * kiss_fft_next_fast_size((at_least + 1) / 2); }

std::span<const double> RealFft::Power(std::span<const float> in) {
  const size_t count = std::min(in.size(), input_.size());
  std::copy_n(in.begin(), count, input_.begin());
  std::fill(input_.begin() + static_cast<std::ptrdiff_t>(count), input_.end(), 0.0F);
  kiss_fftr(state_.get(), input_.data(), bins_.data());
  for (size_t i = 0; i < bins_.size(); ++i) {
    const double real = bins_[i].r;
    const double imaginary = bins_[i].i;
    power_[i] = real * real + imaginary * imaginary;
  }
  return power_;
}

InverseRealFft::InverseRealFft(int size)
    : size_(size),
      state_(Allocate(size, true)),
      bins_(static_cast<size_t>(size / 2 + 1)),
      output_(static_cast<size_t>(size)) {}

std::span<const float> InverseRealFft::Autocorrelation(std::span<const double> power) {
  std::fill(bins_.begin(), bins_.end(), kiss_fft_cpx{0.0F, 0.0F});
  for (size_t i = 0; i < std::min(power.size(), bins_.size()); ++i) {
    bins_[i].r = static_cast<float>(power[i]);
  }
  kiss_fftri(state_.get(), bins_.data(), output_.data());
  return output_;
}

}  // namespace ppx::annotate
