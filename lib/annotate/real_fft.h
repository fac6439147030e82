// lib/annotate/real_fft.h: Fourier transforms of real signals (kissfft), with memory that cleans up
// after itself. Inside this library only.
#pragma once

#include <kiss_fftr.h>

#include <cstdlib>
#include <memory>
#include <span>
#include <vector>

namespace ppx::annotate {

// One size and one direction each; not thread-safe.
class RealFft {
 public:
  // `size`: even, above 0; FastSize gives good ones.
  explicit RealFft(int size);

  // The smallest size that is not below `at_least` and is fast.
  static int FastSize(int at_least);

  int size() const { return size_; }
  // `in` [<= size] f32, zeros after it -> [size / 2 + 1] power of the bins, not scaled. Valid until
  // the next call.
  std::span<const double> Power(std::span<const float> in);

 private:
  struct Free {
    void operator()(kiss_fftr_state* state) const { std::free(state); }
  };

  int size_;
  std::unique_ptr<kiss_fftr_state, Free> state_;
  std::vector<float> input_;
  std::vector<kiss_fft_cpx> bins_;
  std::vector<double> power_;
};

// A power spectrum back to the autocorrelation it belongs to, not scaled.
class InverseRealFft {
 public:
  explicit InverseRealFft(int size);

  int size() const { return size_; }
  // `power` [<= size / 2 + 1], zeros after it -> [size] f32. Valid until the next call.
  std::span<const float> Autocorrelation(std::span<const double> power);

 private:
  struct Free {
    void operator()(kiss_fftr_state* state) const { std::free(state); }
  };

  int size_;
  std::unique_ptr<kiss_fftr_state, Free> state_;
  std::vector<kiss_fft_cpx> bins_;
  std::vector<float> output_;
};

}  // namespace ppx::annotate
