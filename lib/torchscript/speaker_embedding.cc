#include "torchscript/speaker_embedding.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "audio/resampler.h"
#include "base/digest.h"
#include "base/error.h"
#include "torchscript/script_module.h"

namespace ppx::torchscript {

struct SpeakerModel::Module {
  torch::jit::Module module;
};

SpeakerModel::SpeakerModel(const std::string& path)
    : path_(path),
      module_(std::make_unique<Module>(
          Module{LoadModule(path, "a speaker embedding model (TorchScript)",
                            "scripts/export-speaker-model makes one")})) {
  sha256_ = base::Sha256File(path);
}

SpeakerModel::~SpeakerModel() = default;

std::vector<float> SpeakerModel::Embed(const base::Audio& audio) const {
  const base::Audio resampled = audio::Resample(audio, kRateHz);
  std::vector<float> embedding;
  RunModule(path_, [&] {
    const at::Tensor input = at::tensor(at::ArrayRef<float>(resampled.samples)).unsqueeze(0);
    const c10::IValue output = module_->module.forward({input});
    const at::Tensor tensor =
        (output.isTuple() ? output.toTuple()->elements().at(0) : output).toTensor();
    const at::Tensor flat = tensor.to(at::kFloat).flatten().contiguous();
    embedding.assign(flat.data_ptr<float>(), flat.data_ptr<float>() + flat.numel());
  });
  if (embedding.empty() ||
      !std::all_of(embedding.begin(), embedding.end(), [](float x) { return std::isfinite(x); })) {
    base::ThrowBadInput(fmt::format(
        "{}: the embedding is empty or not finite; expected a model of [1, samples] -> [1, D]",
        path_));
  }
  return embedding;
}

double CosineSimilarity(std::span<const float> a, std::span<const float> b) {
  double dot = 0;
  double a_squared = 0;
  double b_squared = 0;
  if (a.size() != b.size()) base::ThrowBadInput("speaker embeddings of different lengths");
  for (size_t i = 0; i < a.size(); ++i) {
    dot += static_cast<double>(a[i]) * static_cast<double>(b[i]);
    a_squared += static_cast<double>(a[i]) * static_cast<double>(a[i]);
    b_squared += static_cast<double>(b[i]) * static_cast<double>(b[i]);
  }
  if (a_squared == 0 || b_squared == 0) base::ThrowBadInput("a speaker embedding of zeros");
  return std::clamp(dot / std::sqrt(a_squared * b_squared), -1.0, 1.0);
}

}  // namespace ppx::torchscript
