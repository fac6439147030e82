#include "lm/lm_model.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace ppx::lm {
namespace {

// Long prompts are run in pieces, so that the activations of the MLP stay small beside the weights.
constexpr int64_t kPrefillSteps = 512;

nn::TransformerSpec TemporalSpec(const LmConfig& config) {
  return {.dim = config.dim,
          .num_heads = config.num_heads,
          .num_layers = config.num_layers,
          .hidden = config.hidden(),
          .context = config.context,
          .block = 1,
          .rule = config.ring_rule,
          .rope_max_period = config.max_period,
          .norm = nn::NormKind::kRmsNorm,
          .mlp = nn::MlpKind::kSiluGate};
}

std::vector<at::Tensor> LoadAudioEmbeddings(const LmConfig& config, nn::WeightLoader& loader) {
  std::vector<at::Tensor> tables;
  for (int k = 0; k < config.n_q; ++k) {
    tables.push_back(loader.Take(fmt::format("emb.{}.weight", k), {config.card + 1, config.dim}));
  }
  return tables;
}

// A token of -1 adds nothing.
at::Tensor Lookup(const at::Tensor& table, const at::Tensor& tokens, bool any_zero) {
  if (!any_zero) return at::embedding(table, tokens);
  return at::embedding(table, tokens.clamp_min(0))
      .masked_fill(tokens.eq(kZeroToken).unsqueeze(-1), 0);
}

}  // namespace

void ProvideTokens(const StepInput& input, TokenCache& cache) {
  if (input.text) cache.Provide(0, *input.text);
  int stream = 1;
  for (const int32_t token : input.agent) cache.Provide(stream++, token);
  stream = 1 + static_cast<int>(input.user.size());
  for (const int32_t token : input.user) cache.Provide(stream++, token);
}

void LmState::Reset(int slot) {
  temporal.Reset(slot);
  tokens[static_cast<size_t>(slot)].Reset();
  settings[static_cast<size_t>(slot)] = {};
}

LmSnapshot LmState::Save(int slot) const {
  return {temporal.Save(slot), tokens[static_cast<size_t>(slot)]};
}

void LmState::Restore(const LmSnapshot& snapshot, int slot) {
  temporal.Restore(snapshot.temporal, slot);
  tokens[static_cast<size_t>(slot)] = snapshot.tokens;
}

LmModel::LmModel(const LmConfig& config, nn::WeightLoader& loader, const LmOptions& options)
    : config_(config),
      device_(loader.options().device),
      dtype_(loader.options().dtype),
      audio_embeddings_(LoadAudioEmbeddings(config, loader)),
      text_embedding_(loader.Take("text_emb.weight", {config.text_card + 1, config.dim})),
      transformer_(TemporalSpec(config), "transformer", loader, layout_, options.offload),
      out_norm_(loader.TakeFloat("out_norm.alpha", {1, 1, config.dim}).view({config.dim})),
      text_linear_(loader.TakeLinear("text_linear.weight", {config.text_card, config.dim})),
      depth_(config, config.depth_steps(), loader) {}

LmState LmModel::NewState(int slots) const {
  return NewState(std::vector<int64_t>(static_cast<size_t>(slots), 0));
}

LmState LmModel::NewState(const std::vector<int64_t>& steps) const {
  return {nn::SlotState(layout_, steps, device_),
          std::vector<TokenCache>(steps.size(), TokenCache(config_)),
          std::vector<SlotSettings>(steps.size())};
}

at::Tensor LmModel::Embed(const at::Tensor& host_tokens) const {
  // Looked at on the host: a question to a GPU would wait for all it has to do.
  const bool any_zero = host_tokens.lt(0).any().item<bool>();
  const at::Tensor tokens = host_tokens.to(device_);
  at::Tensor sum;
  for (int k = 0; k < config_.n_q; ++k) {
    const at::Tensor row =
        Lookup(audio_embeddings_[static_cast<size_t>(k)], tokens.select(-1, k + 1), any_zero);
    sum = sum.defined() ? sum + row : row;
  }
  return sum + Lookup(text_embedding_, tokens.select(-1, 0), any_zero);
}

at::Tensor LmModel::EmbedInputs(const std::vector<FrameTokens>& inputs) const {
  at::Tensor tokens = at::empty(
      {static_cast<int64_t>(inputs.size()), static_cast<int64_t>(config_.streams())}, at::kLong);
  int64_t* cell = tokens.data_ptr<int64_t>();
  for (const FrameTokens& input : inputs) cell = std::copy(input.begin(), input.end(), cell);
  return Embed(tokens);
}

void LmModel::Prefill(int slot, const at::Tensor& embeddings, LmState& state,
                      const nn::DebugTap& tap) const {
  const at::Tensor x = embeddings.to(device_, dtype_).unsqueeze(0);
  for (int64_t begin = 0; begin < x.size(1); begin += kPrefillSteps) {
    const int64_t count = std::min(kPrefillSteps, x.size(1) - begin);
    const at::Tensor out = transformer_.Forward(x.narrow(1, begin, count), state.temporal, {slot});
    if (tap) tap("lm.transformer_out", nn::RmsNorm(out, out_norm_).squeeze(0));
  }
}

LmModel::Logits LmModel::LogitsOf(const at::Tensor& tokens,
                                  const std::function<void()>& done) const {
  const int64_t rows = tokens.size(0);
  const int64_t steps = tokens.size(1) - 1;
  nn::SlotState state(layout_, std::vector<int64_t>(static_cast<size_t>(rows), steps), device_);
  nn::SlotIds slots;
  for (int row = 0; row < static_cast<int>(rows); ++row) slots.push_back(row);
  at::Tensor hidden = transformer_.Forward(Embed(tokens.narrow(1, 0, steps)), state, slots, done);
  hidden = nn::RmsNorm(hidden, out_norm_).flatten(0, 1);  // [n * T, dim]
  const at::Tensor asked = tokens.narrow(1, 1, steps).flatten(0, 1).to(device_);
  std::vector<at::Tensor> audio;
  depth_.Run(hidden, asked.select(-1, 0), [&](int k, const at::Tensor& logits) {
    audio.push_back(logits);
    if (done) done();
    return asked.select(-1, 1 + k);
  });
  return {text_linear_(hidden), at::stack(audio, 1)};
}

std::vector<std::optional<FrameTokens>> LmModel::Step(std::span<const StepInput> rows,
                                                      LmState& state, const nn::DebugTap& tap,
                                                      bool compute_all) const {
  const size_t n = rows.size();

  // 1. Tokens in. Rows that only start up are padding from here on.
  nn::SlotIds live(n, nn::kPadding);
  bool any_live = false;
  for (size_t row = 0; row < n; ++row) {
    const StepInput& input = rows[row];
    if (input.slot == nn::kPadding) continue;
    TokenCache& cache = state.tokens[static_cast<size_t>(input.slot)];
    ProvideTokens(input, cache);
    if (cache.Begin()) {
      live[row] = input.slot;
      any_live = true;
    }
  }
  std::vector<std::optional<FrameTokens>> frames(n);
  if (!any_live) return frames;

  // 2. The network.
  at::Tensor host;
  if (!tap && !compute_all) host = ChooseOnGraph(live, state);
  if (!host.defined()) host = Choose(live, state, tap, compute_all);

  // 3. Tokens out.
  for (size_t row = 0; row < n; ++row) {
    if (live[row] == nn::kPadding) continue;
    TokenCache& cache = state.tokens[static_cast<size_t>(live[row])];
    const int64_t* row_tokens =
        host.const_data_ptr<int64_t>() + static_cast<int64_t>(row) * host.size(1);
    for (int stream = 0; stream < static_cast<int>(host.size(1)); ++stream) {
      cache.Put(stream, static_cast<int32_t>(row_tokens[stream]));
    }
    frames[row] = cache.Finish();
  }
  return frames;
}

at::Tensor LmModel::Choose(const nn::SlotIds& live, LmState& state, const nn::DebugTap& tap,
                           bool compute_all) const {
  const size_t n = live.size();
  const int codebooks = config_.codebooks();
  const auto streams = static_cast<int64_t>(config_.streams());
  at::Tensor tokens = at::zeros({static_cast<int64_t>(n), 1, streams}, at::kLong);
  bool text_needed = compute_all;
  bool audio_needed = compute_all;
  std::vector<double> text_temperature(n, 0);
  std::vector<double> audio_temperature(n, 0);
  std::vector<int> text_top_k(n, 1);
  std::vector<int> audio_top_k(n, 1);
  for (size_t row = 0; row < n; ++row) {
    if (live[row] == nn::kPadding) continue;
    const auto slot = static_cast<size_t>(live[row]);
    const TokenCache& cache = state.tokens[slot];
    const FrameTokens input = cache.Input();
    std::copy(input.begin(), input.end(),
              tokens.data_ptr<int64_t>() + static_cast<int64_t>(row) * streams);
    text_needed |= !cache.IsProvided(0);
    for (int k = 0; k < codebooks; ++k) audio_needed |= !cache.IsProvided(1 + k);
    const SamplingOptions& sampling = state.settings[slot].sampling;
    if (sampling.greedy) continue;
    text_temperature[row] = sampling.temp_text;
    audio_temperature[row] = sampling.temp_audio;
    text_top_k[row] = sampling.topk_text;
    audio_top_k[row] = sampling.topk_audio;
  }

  // The temporal transformer.
  at::Tensor hidden = transformer_.Forward(Embed(tokens), state.temporal, live);
  hidden = nn::RmsNorm(hidden, out_norm_).squeeze(1);  // [n, dim]
  if (tap) tap("lm.transformer_out", hidden);

  // Text, then the agent's codebooks one after another.
  const auto uniforms = [&](int stream) {
    std::vector<float> numbers(n, 0);
    for (size_t row = 0; row < n; ++row) {
      if (live[row] == nn::kPadding) continue;
      const auto slot = static_cast<size_t>(live[row]);
      const SlotSettings& settings = state.settings[slot];
      numbers[row] =
          settings.random.Uniform(state.tokens[slot].offset() - settings.first_step, stream);
    }
    return numbers;
  };
  // Where a stream's token is provided, it replaces the sampled one (which may be undefined).
  const auto with_provided = [&](int stream, const at::Tensor& sampled) {
    at::Tensor fixed = at::zeros({static_cast<int64_t>(n)}, at::kLong);
    at::Tensor keep = at::zeros({static_cast<int64_t>(n)}, at::kBool);
    bool any = !sampled.defined();
    for (size_t row = 0; row < n; ++row) {
      if (live[row] == nn::kPadding) continue;
      const TokenCache& cache = state.tokens[static_cast<size_t>(live[row])];
      if (!cache.IsProvided(stream)) continue;
      any = true;
      fixed.data_ptr<int64_t>()[row] = cache.At(stream);
      keep.data_ptr<bool>()[row] = true;
    }
    if (!sampled.defined()) return fixed.to(device_);
    return any ? at::where(keep.to(device_), fixed.to(device_), sampled) : sampled;
  };

  std::vector<at::Tensor> chosen;  // [n] each: text, then the codebooks
  at::Tensor sampled_text;
  if (text_needed) {
    const at::Tensor logits = text_linear_(hidden);
    if (tap) tap("lm.text_logits", logits);
    sampled_text = SampleTokens(logits, text_temperature, text_top_k, uniforms(0));
  }
  chosen.push_back(with_provided(0, sampled_text));
  if (audio_needed) {
    std::vector<at::Tensor> all_logits;
    depth_.Run(hidden, chosen[0], [&](int k, const at::Tensor& logits) {
      if (tap) all_logits.push_back(logits);
      const at::Tensor sampled =
          SampleTokens(logits, audio_temperature, audio_top_k, uniforms(1 + k));
      chosen.push_back(with_provided(1 + k, sampled));
      return chosen.back();
    });
    if (tap) tap("lm.audio_logits", at::stack(all_logits, 1));
  }

  return at::stack(chosen, 1).to(at::kCPU);  // one copy for all rows and streams
}

}  // namespace ppx::lm
