#include "engine/trace.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.h"
#include "nn/weight_loader.h"
#include "weights/safetensors.h"

namespace ppx::engine {

const std::vector<std::string>& TraceNames() {
  static const std::vector<std::string> names{
      "lm.transformer_out",           "lm.text_logits", "lm.audio_logits", "mimi.encoder_out",
      "mimi.encoder_transformer_out", "mimi.latent"};
  return names;
}

TraceRecorder::TraceRecorder(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (std::find(TraceNames().begin(), TraceNames().end(), name) == TraceNames().end()) {
      base::ThrowUsage(fmt::format("no value named '{}' can be traced; there are {}", name,
                                   fmt::join(TraceNames(), ", ")));
    }
    names_.insert(name);
  }
}

nn::DebugTap TraceRecorder::Tap(const std::string& phase) {
  if (names_.empty()) return {};
  return [this, phase](std::string_view name, const at::Tensor& value) {
    if (!names_.contains(std::string(name))) return;
    rows_[phase + "." + std::string(name)].push_back(
        value.detach().to(at::kCPU, at::kFloat).clone());
  };
}

at::Tensor TraceRecorder::Values(const std::string& name) const {
  return at::cat(rows_.at(name), 0).contiguous();
}

void TraceRecorder::Write(const std::string& path, const std::vector<lm::FrameTokens>& tokens,
                          std::span<const float> pcm) const {
  const size_t streams = tokens.empty() ? 0 : tokens.front().size();
  std::vector<int32_t> flat;
  for (const auto& row : tokens) flat.insert(flat.end(), row.begin(), row.end());
  std::vector<weights::NamedTensor> named{
      {"tokens",
       weights::DType::kI32,
       {static_cast<int64_t>(tokens.size()), static_cast<int64_t>(streams)},
       std::as_bytes(std::span(flat))},
      {"pcm", weights::DType::kF32, {static_cast<int64_t>(pcm.size())}, std::as_bytes(pcm)}};
  std::vector<at::Tensor> alive;
  for (const auto& [name, rows] : rows_) {
    alive.push_back(Values(name));
    const at::Tensor& all = alive.back();
    named.push_back({name,
                     weights::DType::kF32,
                     all.sizes().vec(),
                     {static_cast<const std::byte*>(all.const_data_ptr()), all.nbytes()}});
  }
  weights::WriteSafetensors(path, named, {{"format", "ppx trace"}});
}

}  // namespace ppx::engine
