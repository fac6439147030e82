#include "lm/cuda/step_rows.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "lm/lm_model.h"

namespace ppx::lm {

StepRows::StepRows(void* memory, int row_count, int stream_count, int chosen_count)
    : rows(row_count), streams(stream_count), chosen(chosen_count) {
  auto* next = static_cast<int32_t*>(memory);
  const auto take = [&](int64_t words) {
    int32_t* part = next;
    next += words;
    return part;
  };
  tokens = take(int64_t{rows} * streams);
  slots = take(rows);
  positions = take(rows);
  fixed = take(int64_t{rows} * chosen);
  top_k = take(int64_t{2} * rows);
  temperature = reinterpret_cast<float*>(take(int64_t{2} * rows));
  uniforms = reinterpret_cast<float*>(take(int64_t{rows} * chosen));
}

int64_t StepRows::Words(int rows, int streams, int chosen) {
  return int64_t{rows} * (streams + 2 + 2 * chosen + 4);
}

namespace {

// The kernels look tokens up without a check of their own.
int32_t Checked(const LmConfig& config, int stream, int32_t token) {
  if (token < kZeroToken || token > (stream == 0 ? config.text_card : config.card)) {
    base::ThrowInternal(fmt::format("{} is no token of stream {}", token, stream));
  }
  return token;
}

}  // namespace

bool FillRows(const LmConfig& config, const nn::SlotIds& live,
              const std::vector<int64_t>& positions, const LmState& state, const StepRows& rows) {
  std::fill_n(rows.tokens, int64_t{rows.rows} * rows.streams, kZeroToken);
  std::fill_n(rows.slots, rows.rows, nn::kPadding);
  std::fill_n(rows.positions, rows.rows, 0);
  std::fill_n(rows.fixed, int64_t{rows.rows} * rows.chosen, 0);
  std::fill_n(rows.top_k, 2 * rows.rows, 1);
  std::fill_n(rows.temperature, 2 * rows.rows, 0.0F);
  std::fill_n(rows.uniforms, int64_t{rows.rows} * rows.chosen, 0.0F);
  bool any_chosen = false;
  for (size_t r = 0; r < live.size(); ++r) {
    if (live[r] == nn::kPadding) continue;
    const auto row = static_cast<int64_t>(r);
    const auto slot = static_cast<size_t>(live[r]);
    const TokenCache& cache = state.tokens[slot];
    const SlotSettings& settings = state.settings[slot];
    rows.slots[row] = live[r];
    rows.positions[row] = static_cast<int32_t>(positions[r]);
    const FrameTokens input = cache.Input();
    for (int stream = 0; stream < rows.streams; ++stream) {
      rows.tokens[row * rows.streams + stream] =
          Checked(config, stream, input[static_cast<size_t>(stream)]);
    }
    for (int stream = 0; stream < rows.chosen; ++stream) {
      const int64_t cell = row * rows.chosen + stream;
      const bool provided = cache.IsProvided(stream);
      any_chosen |= !provided;
      rows.fixed[cell] = provided ? Checked(config, stream, cache.At(stream)) : kUngenerated;
      if (provided || settings.sampling.greedy) continue;
      rows.uniforms[cell] = settings.random.Uniform(cache.offset() - settings.first_step, stream);
    }
    if (settings.sampling.greedy) continue;
    rows.temperature[row] = static_cast<float>(settings.sampling.temp_text);
    rows.temperature[rows.rows + row] = static_cast<float>(settings.sampling.temp_audio);
    rows.top_k[row] = settings.sampling.topk_text;
    rows.top_k[rows.rows + row] = settings.sampling.topk_audio;
  }
  return any_chosen;
}

}  // namespace ppx::lm
