#include "torchscript/silero_vad.h"

#include <fmt/format.h>

#include <algorithm>

#include "annotate/segments.h"
#include "audio/resampler.h"
#include "base/digest.h"
#include "base/error.h"
#include "torchscript/script_module.h"

namespace ppx::torchscript {
namespace {

constexpr int64_t kContextSamples = 64;
constexpr int64_t kSeenSamples = kContextSamples + SileroVad::kWindowSamples;
constexpr int64_t kFeatures = 128;
// Windows that go through the convolutions at once: bounds the memory of long files (16 s).
constexpr int64_t kBlockWindows = 512;
constexpr const char* kWhat = "the Silero voice activity detector (silero_vad.jit)";
constexpr const char* kRemedy =
    "scripts/setup fetches it; name another place with --vad-model, or use --vad energy";

}  // namespace

struct SileroVad::Model {
  std::string path;
  std::string sha256;
  torch::jit::Module stft, encoder, decoder;
  at::Tensor input_weight, hidden_weight, input_bias, hidden_bias;
  // forward is not const, though these modules keep no state.
  at::Tensor Features(const at::Tensor& windows) {
    return encoder.forward({stft.forward({windows})}).toTensor().squeeze(-1);
  }
  at::Tensor Decide(const at::Tensor& hidden) {
    return decoder.forward({hidden.unsqueeze(-1)}).toTensor().flatten();
  }
};

SileroVad::SileroVad(const std::string& path) : model_(std::make_unique<Model>()) {
  const torch::jit::Module module = LoadModule(path, kWhat, kRemedy);
  model_->path = path;
  model_->sha256 = base::Sha256File(path);
  try {
    const torch::jit::Module inner = module.attr("_model").toModule();
    model_->stft = inner.attr("stft").toModule();
    model_->encoder = inner.attr("encoder").toModule();
    const torch::jit::Module head = inner.attr("decoder").toModule();
    model_->decoder = head.attr("decoder").toModule();
    const torch::jit::Module cell = head.attr("rnn").toModule();
    model_->input_weight = cell.attr("weight_ih").toTensor();
    model_->hidden_weight = cell.attr("weight_hh").toTensor();
    model_->input_bias = cell.attr("bias_ih").toTensor();
    model_->hidden_bias = cell.attr("bias_hh").toTensor();
  } catch (const std::exception&) {
    base::ThrowBadInput(
        fmt::format("{}: a TorchScript module, but not {}; {}", path, kWhat, kRemedy));
  }
  const std::vector<int64_t> wanted{4 * kFeatures, kFeatures};
  if (model_->input_weight.sizes() != wanted || model_->hidden_weight.sizes() != wanted) {
    base::ThrowBadInput(
        fmt::format("{}: a voice activity detector of another size; {}", path, kRemedy));
  }
}

SileroVad::~SileroVad() = default;

annotate::VadIdentity SileroVad::identity() const { return {"silero", "6.2", model_->sha256}; }

std::vector<float> SileroVad::Probabilities(std::span<const float> samples) const {
  const auto count = static_cast<int64_t>(samples.size());
  const int64_t windows = (count + kWindowSamples - 1) / kWindowSamples;
  std::vector<float> probabilities;
  if (windows == 0) return probabilities;
  probabilities.reserve(static_cast<size_t>(windows));
  RunModule(model_->path, [&] {
    at::Tensor padded = at::zeros({kContextSamples + windows * kWindowSamples});
    std::copy(samples.begin(), samples.end(), padded.data_ptr<float>() + kContextSamples);
    const at::Tensor seen = padded.unfold(0, kSeenSamples, kWindowSamples);
    at::Tensor hidden = at::zeros({1, 1, kFeatures});
    at::Tensor cell = at::zeros({1, 1, kFeatures});
    for (int64_t first = 0; first < windows; first += kBlockWindows) {
      const int64_t last = std::min(first + kBlockWindows, windows);
      const at::Tensor features = model_->Features(seen.slice(0, first, last).contiguous());
      at::Tensor output;
      std::tie(output, hidden, cell) = at::lstm(
          features.unsqueeze(1), {hidden, cell},
          {model_->input_weight, model_->hidden_weight, model_->input_bias, model_->hidden_bias},
          /*has_biases=*/true, /*num_layers=*/1, /*dropout=*/0.0, /*train=*/false,
          /*bidirectional=*/false, /*batch_first=*/false);
      const at::Tensor block = model_->Decide(output.squeeze(1)).contiguous();
      const float* values = block.data_ptr<float>();
      probabilities.insert(probabilities.end(), values, values + block.numel());
    }
  });
  return probabilities;
}

std::vector<base::Segment> SileroVad::Detect(const base::Audio& audio,
                                             std::optional<Lengths> lengths) const {
  const base::Audio resampled = audio::Resample(audio, kRateHz);
  annotate::SegmentOptions options;
  if (lengths) {
    options.min_speech_ms = lengths->min_speech_ms;
    options.min_silence_ms = lengths->min_silence_ms;
  }
  return annotate::ToSeconds(
      annotate::SegmentsFromProbabilities(Probabilities(resampled.samples),
                                          static_cast<int64_t>(resampled.samples.size()), options),
      kRateHz);
}

struct SileroVad::Stream::State {
  Model* model;
  at::Tensor seen = at::zeros({1, kSeenSamples});
  at::Tensor hidden = at::zeros({1, kFeatures});
  at::Tensor cell = at::zeros({1, kFeatures});
};

SileroVad::Stream::Stream(const SileroVad& vad)
    : state_(std::make_unique<State>(State{.model = vad.model_.get()})) {}
SileroVad::Stream::~Stream() = default;
SileroVad::Stream::Stream(Stream&&) noexcept = default;

float SileroVad::Stream::Step(std::span<const float> window) {
  if (window.size() != kWindowSamples) base::ThrowInternal("a window of another length");
  State& state = *state_;
  float probability = 0;
  RunModule(state.model->path, [&] {
    auto* seen = state.seen.data_ptr<float>();
    std::copy(seen + kWindowSamples, seen + kSeenSamples, seen);
    std::copy(window.begin(), window.end(), seen + kContextSamples);
    std::tie(state.hidden, state.cell) = at::lstm_cell(
        state.model->Features(state.seen), {state.hidden, state.cell}, state.model->input_weight,
        state.model->hidden_weight, state.model->input_bias, state.model->hidden_bias);
    probability = state.model->Decide(state.hidden).item<float>();
  });
  return probability;
}

}  // namespace ppx::torchscript
