#include "audio/resampler.h"

#include <fmt/format.h>
#include <samplerate.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "base/error.h"

namespace ppx::audio {
namespace {

struct StateDeleter {
  void operator()(SRC_STATE* state) const { src_delete(state); }
};

// libsamplerate keeps some sample counts in an int.
constexpr int64_t kBlockSamples = int64_t{1} << 20;

}  // namespace

int64_t ResampledLength(int64_t samples, int from_hz, int to_hz) {
  if (samples < 0 || from_hz < 1 || to_hz < 1) {
    base::ThrowInternal("length of audio without a rate");
  }
  // Whole seconds apart from the rest, so that no product can overflow.
  const int64_t rest = (samples % from_hz) * to_hz;
  return samples / from_hz * to_hz + rest / from_hz + (rest % from_hz != 0 ? 1 : 0);
}

base::Audio Resample(const base::Audio& in, int rate_hz) {
  const bool rates_valid = in.sample_rate_hz >= 1 && rate_hz >= 1;
  const double ratio = rates_valid ? static_cast<double>(rate_hz) / in.sample_rate_hz : 0.0;
  if (!rates_valid || src_is_valid_ratio(ratio) == 0) {
    base::ThrowBadInput(
        fmt::format("cannot resample from {} Hz to {} Hz; the rates may differ by a factor of 256",
                    in.sample_rate_hz, rate_hz));
  }
  if (in.sample_rate_hz == rate_hz) {
    return in;
  }
  const auto input_size = static_cast<int64_t>(in.samples.size());
  base::Audio out;
  out.sample_rate_hz = rate_hz;
  out.samples.resize(static_cast<size_t>(ResampledLength(input_size, in.sample_rate_hz, rate_hz)));

  int error = 0;
  const std::unique_ptr<SRC_STATE, StateDeleter> state(
      src_new(SRC_SINC_BEST_QUALITY, /*channels=*/1, &error));
  if (state == nullptr) {
    base::ThrowResource(fmt::format("libsamplerate cannot start: {}", src_strerror(error)));
  }
  // The converter stops one output period before its input's end. Zeros after the input let it also
  // compute the last output sample, which may lie within that period.
  const std::vector<float> tail(static_cast<size_t>(in.sample_rate_hz / rate_hz) + 2, 0.0F);
  const auto output_size = static_cast<int64_t>(out.samples.size());
  const int64_t total_input = input_size + static_cast<int64_t>(tail.size());
  int64_t consumed = 0;
  int64_t produced = 0;
  while (produced < output_size) {
    const bool in_tail = consumed >= input_size;
    SRC_DATA block = {};
    block.src_ratio = ratio;
    block.data_in = in_tail ? tail.data() + (consumed - input_size) : in.samples.data() + consumed;
    block.input_frames = std::min((in_tail ? total_input : input_size) - consumed, kBlockSamples);
    block.end_of_input = in_tail ? 1 : 0;
    block.data_out = out.samples.data() + produced;
    block.output_frames = std::min(output_size - produced, kBlockSamples);
    error = src_process(state.get(), &block);
    if (error != 0) {
      base::ThrowInternal(fmt::format("libsamplerate: {}", src_strerror(error)));
    }
    if (block.input_frames_used == 0 && block.output_frames_gen == 0) {
      base::ThrowInternal("libsamplerate makes no progress");
    }
    consumed += block.input_frames_used;
    produced += block.output_frames_gen;
  }
  return out;
}

}  // namespace ppx::audio
