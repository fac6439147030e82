#include "engine/voice_prompt.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "audio/framer.h"
#include "audio/loudness.h"
#include "audio/resampler.h"
#include "audio/wav_reader.h"
#include "base/error.h"
#include "engine/system_prompt.h"
#include "nn/weight_loader.h"
#include "weights/safetensors.h"
#include "weights/torch_archive.h"

namespace ppx::engine {
namespace {

bool HasSuffix(const std::string& text, std::string_view suffix) {
  return text.size() >= suffix.size() &&
         text.compare(text.size() - suffix.size(), suffix.size(), suffix) == 0;
}

std::string ShapeText(const at::Tensor& tensor) {
  std::string text = "[";
  for (const int64_t size : tensor.sizes()) {
    text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  }
  return text + "]";
}

VoicePrompt CheckSaved(const std::string& path, const at::Tensor& embeddings,
                       const at::Tensor& cache, const lm::LmConfig& config) {
  const int64_t width = config.max_delay() + 3;
  if (embeddings.dim() < 2 || !at::isFloatingType(embeddings.scalar_type()) ||
      embeddings.size(0) < 1 || embeddings.numel() != embeddings.size(0) * config.dim) {
    base::ThrowBadInput(fmt::format(
        "{}: 'embeddings' has shape {}, expected [N, 1, 1, {}]; is the voice prompt made for this "
        "model?",
        path, ShapeText(embeddings), config.dim));
  }
  if (cache.scalar_type() != at::kLong || cache.numel() != config.streams() * width) {
    base::ThrowBadInput(
        fmt::format("{}: 'cache' has shape {}, expected [1, {}, {}] of int64; is the voice prompt "
                    "made for this model?",
                    path, ShapeText(cache), config.streams(), width));
  }
  if (!at::isfinite(embeddings.to(at::kFloat)).all().item<bool>()) {
    base::ThrowBadInput(path + ": 'embeddings' holds numbers that are not finite");
  }
  VoicePrompt voice;
  voice.path = path;
  voice.embeddings = embeddings.reshape({embeddings.size(0), config.dim}).clone();
  const at::Tensor cells = cache.contiguous();
  voice.cache.assign(cells.const_data_ptr<int64_t>(),
                     cells.const_data_ptr<int64_t>() + cells.numel());
  return voice;
}

}  // namespace

bool IsSavedVoice(const std::string& path) {
  return HasSuffix(path, ".pt") || HasSuffix(path, ".safetensors");
}

std::vector<float> ReadVoiceRecording(const std::string& path, const codec::MimiConfig& config) {
  base::Audio audio = audio::Resample(audio::ReadAudio(path), config.sample_rate_hz);
  const auto gain =
      audio::NormalizeLoudness(audio.samples, audio.sample_rate_hz, kVoiceLoudnessLufs);
  if (!gain.applied) {
    base::ThrowBadInput(path +
                        ": too short or too quiet for a voice prompt; it needs at least 0.4 s of "
                        "audible speech, better 5 to 10 s");
  }
  return audio::PadToFrames(std::move(audio.samples), config.frame_samples());
}

VoicePrompt ReadSavedVoice(const std::string& path, const lm::LmConfig& config) {
  if (HasSuffix(path, ".safetensors")) {
    const auto file = weights::SafetensorsFile::Open(path);
    const weights::TensorView* embeddings = file->Find("embeddings");
    const weights::TensorView* cache = file->Find("cache");
    if (embeddings == nullptr || cache == nullptr) {
      base::ThrowBadInput(path + ": no voice prompt; it holds no tensors 'embeddings' and 'cache'");
    }
    return CheckSaved(path, nn::TensorOverView(*embeddings), nn::TensorOverView(*cache), config);
  }
  const auto tensors = weights::ReadTorchArchive(path);
  const auto embeddings = tensors.find("embeddings");
  const auto cache = tensors.find("cache");
  if (embeddings == tensors.end() || cache == tensors.end()) {
    base::ThrowBadInput(path + ": no voice prompt; it holds no tensors 'embeddings' and 'cache'");
  }
  const auto over = [](const weights::OwnedTensor& tensor) {
    return nn::TensorOverView({tensor.dtype, tensor.shape, tensor.data});
  };
  return CheckSaved(path, over(embeddings->second), over(cache->second), config);
}

VoicePrompt EncodeVoice(const std::string& path, const std::vector<float>& samples,
                        const codec::MimiConfig& config, const codec::MimiEncoder& encoder,
                        at::Device device) {
  VoicePrompt voice;
  voice.path = path;
  nn::SlotState state = encoder.NewState(1);
  const auto frame = static_cast<size_t>(config.frame_samples());
  for (size_t begin = 0; begin + frame <= samples.size(); begin += frame) {
    at::Tensor pcm = at::empty({1, 1, static_cast<int64_t>(frame)}, at::kFloat);
    std::copy_n(samples.begin() + static_cast<std::ptrdiff_t>(begin), frame, pcm.data_ptr<float>());
    const at::Tensor codes =
        encoder.Encode(pcm.to(device), state, {0}).to(at::kCPU, at::kInt).contiguous();
    const int32_t* first = codes.const_data_ptr<int32_t>();
    voice.codes.emplace_back(first, first + codes.numel());
  }
  return voice;
}

void WriteSavedVoice(const std::string& path, const VoicePrompt& voice, const lm::LmModel& model) {
  const lm::LmConfig& config = model.config();
  at::Tensor embeddings = voice.embeddings;
  std::vector<int64_t> cells = voice.cache;
  if (!voice.saved()) {
    if (voice.codes.size() < 2) {
      base::ThrowBadInput(voice.path +
                          ": too short to be saved; two frames (0.16 s) are the least");
    }
    lm::TokenCache cache(config);
    embeddings = model.EmbedInputs(PromptInputs(VoiceSteps(voice, 0, config), cache));
    cells = cache.Cells();
  }
  embeddings = embeddings.to(at::kCPU).contiguous().view({-1, 1, 1, config.dim});
  const auto bytes = [](const void* data, size_t size) {
    return std::span<const std::byte>(static_cast<const std::byte*>(data), size);
  };
  weights::WriteSafetensors(
      path,
      {{"embeddings", nn::FromScalarType(embeddings.scalar_type()), embeddings.sizes().vec(),
        bytes(embeddings.const_data_ptr(), embeddings.nbytes())},
       {"cache",
        weights::DType::kI64,
        {1, config.streams(), config.max_delay() + 3},
        bytes(cells.data(), cells.size() * sizeof(int64_t))}},
      {{"format", "ppx voice prompt"}});
}

}  // namespace ppx::engine
