#include "engine/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <new>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "engine/device.h"
#include "nn/json_fields.h"
#include "nn/packed_store.h"
#include "nn/weight_loader.h"

namespace ppx::engine {
namespace {

[[noreturn]] void ThrowOutOfMemory(const at::Device& device) {
  throw base::Error(
      base::ErrorCode::kOutOfMemory,
      fmt::format(
          "{}: out of memory; use fewer slots, --dtype bf16, --quantize int8, a shorter input or "
          "--cpu-offload",
          device.str()));
}

// What LibTorch throws in here is a lack of memory or a fault of the device; say so at one
// boundary.
template <typename Work>
auto WithDeviceErrors(const at::Device& device, const Work& work) {
  try {
    const c10::InferenceMode guard;
    return work();
  } catch (const c10::OutOfMemoryError&) {
    ThrowOutOfMemory(device);
  } catch (const std::bad_alloc&) {
    ThrowOutOfMemory(device);
  } catch (const c10::Error& error) {
    // The CPU's allocator, kernels that are loaded and cuBLAS have no exception of their own.
    const std::string_view text = error.what_without_backtrace();
    for (const char* sign :
         {"DefaultCPUAllocator", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED"}) {
      if (text.find(sign) != std::string_view::npos) ThrowOutOfMemory(device);
    }
    base::ThrowResource(fmt::format("{}: {}", device.str(), error.what_without_backtrace()));
  }
}

// The type that the matrices of a checkpoint are stored in.
at::ScalarType StoredType(const weights::SafetensorsFile& file) {
  const weights::TensorView* view = file.Find("text_linear.weight");
  return view != nullptr && view->dtype == weights::DType::kF32 ? at::kFloat : at::kBFloat16;
}

// Places of the rows that are computed: on a GPU all, so that there are always as many; on the CPU,
// where nobody's bits depend on that, those of dialogues.
template <typename Row>
std::vector<size_t> Computed(std::span<const Row> rows, const at::Device& device) {
  std::vector<size_t> places;
  bool any = false;
  for (size_t place = 0; place < rows.size(); ++place) {
    const bool padding = rows[place].slot == nn::kPadding;
    any |= !padding;
    if (!padding || !device.is_cpu()) places.push_back(place);
  }
  return any ? places : std::vector<size_t>{};
}

// A GPU's own file holds notes and no matrices: there they are quantised anew at each start, and
// cost another accuracy than on the CPU, where activations are rounded too.
std::string StoreFile(const std::string& quantised_file, const at::Device& device) {
  if (quantised_file.empty() || device.is_cpu()) return quantised_file;
  return std::filesystem::path(quantised_file).replace_extension(".gpu.safetensors").string();
}

}  // namespace

ModelConfig ModelConfig::Read(const std::string& path, int context) {
  const nn::JsonFields fields(
      path.empty() ? nlohmann::json::object() : nn::JsonFields::ReadFile(path),
      path.empty() ? "released configuration" : path);
  ModelConfig config;
  config.lm = lm::LmConfig::FromJson(fields);
  config.mimi = codec::MimiConfig::FromJson(fields.Object("mimi"), config.lm.ring_rule);
  if (context > 0) config.lm.context = context;
  return config;
}

Engine::Engine(const EngineFiles& files, const ModelConfig& config, const EngineOptions& options)
    : config_(config),
      device_(OpenDevice(options.device)),
      prompts_kept_(static_cast<size_t>(options.prompts_kept)) {
  // A step of a small model is over before a second thread has woken up.
  constexpr int kLeastThreadedDim = 512;
  const bool small = config.lm.dim < kLeastThreadedDim;
  threads_ = options.threads == 0 && small ? 1 : options.threads;
  ConfigureArithmetic(threads_);
  WithDeviceErrors(device_, [&] {
    mimi_file_ = weights::SafetensorsFile::Open(files.mimi_weight);
    lm_file_ = weights::SafetensorsFile::Open(files.moshi_weight);
    dtype_ = !options.dtype.empty()                           ? ParseDtype(options.dtype)
             : device_.is_cuda() || !options.quantize.empty() ? at::kBFloat16
                                                              : StoredType(*lm_file_);
    nn::WeightLoader mimi(
        mimi_file_,
        {.device = device_, .dtype = at::kFloat, .form = MatrixForm(device_, at::kFloat, "")});
    encoder_ = std::make_unique<codec::MimiEncoder>(config_.mimi, config_.lm.codebooks(), mimi);
    decoder_ = std::make_unique<codec::MimiDecoder>(config_.mimi, config_.lm.codebooks(), mimi);
    mimi.Finish();
    LoadLm(options);
  });
  Resize(std::vector<int64_t>(static_cast<size_t>(options.slots), options.max_steps));
}

void Engine::LoadLm(const EngineOptions& options) {
  form_ = MatrixForm(device_, dtype_, options.quantize);
  const bool quantised = !options.quantize.empty();
  const lm::LmOptions lm_options{.offload = options.cpu_offload && device_.is_cuda()};
  const bool packed = device_.is_cpu();
  std::optional<nn::PackedStore> store;
  if (quantised) store.emplace(StoreFile(options.quantised_file, device_), *form_);
  nn::WeightLoader loader(lm_file_, {.device = device_,
                                     .dtype = dtype_,
                                     .form = packed ? form_ : std::nullopt,
                                     .int8 = quantised && !packed,
                                     .store = store && packed ? &*store : nullptr});
  lm_ = std::make_unique<lm::LmModel>(config_.lm, loader, lm_options);
  loader.Finish();
  if (!store) return;
  if (store->complete()) damage_ = ParseDamage(store->notes());
  if (damage_) return;
  // The reference's matrices stay where they lie in the file, and only those of one layer at a time
  // in memory: no second copy, on the host or on a GPU, of a model that may not fit twice.
  const at::ScalarType stored = StoredType(*lm_file_);
  nn::WeightLoader as_stored(lm_file_,
                             {.device = device_, .dtype = stored, .matrices_on_host = true});
  const lm::LmModel reference(config_.lm, as_stored);
  damage_ = MeasureDamage(*lm_, reference, DtypeName(stored), [this] { lm_file_->Release(); });
  store->Save(ToJson(*damage_).dump());
}

void Engine::Resize(const std::vector<int64_t>& steps) {
  WithDeviceErrors(device_, [&] {
    slots_ = 0;
    frame_encoder_.reset();
    frame_decoder_.reset();
    encoder_state_.reset();
    decoder_state_.reset();
    lm_state_.reset();
    // The largest first: where memory is too small, little has been touched.
    const int slots = static_cast<int>(steps.size());
    lm_state_ = lm_->NewState(steps);
    encoder_state_ = encoder_->NewState(slots);
    decoder_state_ = decoder_->NewState(slots);
    frame_encoder_ = std::make_unique<codec::GraphEncoder>(*encoder_);
    frame_decoder_ = std::make_unique<codec::GraphDecoder>(*decoder_);
    slots_ = slots;
  });
}

int64_t Engine::BytesPerSlot(int64_t steps) const {
  return encoder_->StateBytesPerSlot() + decoder_->StateBytesPerSlot() +
         lm_->StateBytesPerSlot(steps);
}

int64_t Engine::Start(int slot, const DialogueOptions& dialogue, const nn::DebugTap& tap) {
  return WithDeviceErrors(device_, [&] {
    encoder_state_->Reset(slot);
    decoder_state_->Reset(slot);
    lm_state_->Reset(slot);
    StartFromPrompt(slot, dialogue.prompt, tap);
    const auto index = static_cast<size_t>(slot);
    const int64_t steps = lm_state_->tokens[index].offset();
    lm_state_->settings[index] = {
        .sampling = dialogue.sampling,
        .random = {.seed = dialogue.seed, .dialogue = lm::DialogueKey(dialogue.dialogue_id)},
        .first_step = steps};
    return steps;
  });
}

void Engine::StartFromPrompt(int slot, const std::shared_ptr<const SystemPrompt>& prompt,
                             const nn::DebugTap& tap) {
  const auto kept = std::find_if(kept_.begin(), kept_.end(),
                                 [&](const KeptPrompt& entry) { return entry.prompt == prompt; });
  if (kept != kept_.end()) {
    lm_state_->Restore(kept->state, slot);
    kept_.splice(kept_.begin(), kept_, kept);
    return;
  }
  RunSystemPrompt(*prompt, slot, config_.mimi.frame_rate_hz, *lm_, *lm_state_, tap);
  if (prompts_kept_ == 0) return;
  if (kept_.size() == prompts_kept_) kept_.pop_back();
  kept_.push_front({prompt, lm_state_->Save(slot)});
}

std::vector<std::vector<int32_t>> Engine::Encode(int slot, std::span<const float> pcm) {
  return WithDeviceErrors(device_, [&] {
    const auto samples = static_cast<int64_t>(pcm.size());
    if (samples == 0 || samples % config_.mimi.frame_samples() != 0) {
      base::ThrowInternal("audio that is not whole frames");
    }
    const at::Tensor audio = at::empty({1, 1, samples}, at::kFloat);
    std::copy(pcm.begin(), pcm.end(), audio.data_ptr<float>());
    const at::Tensor codes = encoder_->Encode(audio.to(device_), *encoder_state_, {slot})
                                 .squeeze(0)
                                 .transpose(0, 1)
                                 .to(at::kCPU, at::kInt)
                                 .contiguous();  // [frames, codebooks]
    std::vector<std::vector<int32_t>> frames;
    const int32_t* row = codes.const_data_ptr<int32_t>();
    for (int64_t frame = 0; frame < codes.size(0); ++frame, row += codes.size(1)) {
      frames.emplace_back(row, row + codes.size(1));
    }
    return frames;
  });
}

std::vector<std::optional<lm::FrameTokens>> Engine::StepCodes(std::span<const CodesInput> rows,
                                                              const nn::DebugTap& tap) {
  return WithDeviceErrors(device_, [&] {
    const std::vector<size_t> places = Computed(rows, device_);
    std::vector<lm::StepInput> inputs;
    for (const size_t place : places) {
      const CodesInput& row = rows[place];
      inputs.push_back({.slot = row.slot, .user = {row.codes.begin(), row.codes.end()}});
    }
    auto stepped = lm_->Step(inputs, *lm_state_, tap);
    std::vector<std::optional<lm::FrameTokens>> frames(rows.size());
    for (size_t i = 0; i < places.size(); ++i) frames[places[i]] = std::move(stepped[i]);
    return frames;
  });
}

std::vector<float> Engine::Decode(int slot, std::span<const lm::FrameTokens> frames) {
  return WithDeviceErrors(device_, [&] {
    const auto count = static_cast<int64_t>(frames.size());
    const at::Tensor codes = at::empty({1, config_.lm.codebooks(), count}, at::kLong);
    auto cells = codes.accessor<int64_t, 3>();
    for (int64_t frame = 0; frame < count; ++frame) {
      for (int64_t k = 0; k < codes.size(1); ++k) {
        cells[0][k][frame] = frames[static_cast<size_t>(frame)][static_cast<size_t>(1 + k)];
      }
    }
    const at::Tensor pcm =
        decoder_->Decode(codes.to(device_), *decoder_state_, {slot}).to(at::kCPU).contiguous();
    const float* first = pcm.const_data_ptr<float>();
    return std::vector<float>(first, first + pcm.numel());
  });
}

std::vector<std::vector<int32_t>> Engine::EncodeFrames(std::span<const FrameInput> rows,
                                                       const nn::DebugTap& tap) {
  return WithDeviceErrors(device_, [&] {
    const std::vector<size_t> places = Computed(rows, device_);
    std::vector<std::vector<int32_t>> frames(rows.size());
    if (places.empty()) return frames;
    const int64_t samples = config_.mimi.frame_samples();
    at::Tensor pcm = at::zeros({static_cast<int64_t>(places.size()), 1, samples}, at::kFloat);
    nn::SlotIds slots;
    float* to = pcm.data_ptr<float>();
    for (const size_t place : places) {
      const FrameInput& row = rows[place];
      slots.push_back(row.slot);
      if (row.slot != nn::kPadding) {
        if (static_cast<int64_t>(row.pcm.size()) != samples) {
          base::ThrowInternal("a frame of another length");
        }
        std::copy(row.pcm.begin(), row.pcm.end(), to);
      }
      to += samples;
    }
    const at::Tensor codes =
        frame_encoder_->Encode(pcm, *encoder_state_, slots, tap);  // [n, codebooks, 1]
    const int32_t* from = codes.const_data_ptr<int32_t>();
    for (const size_t place : places) {
      if (rows[place].slot != nn::kPadding) frames[place].assign(from, from + codes.size(1));
      from += codes.size(1);
    }
    return frames;
  });
}

std::vector<std::vector<float>> Engine::DecodeFrames(std::span<const TokensInput> rows) {
  return WithDeviceErrors(device_, [&] {
    const std::vector<size_t> places = Computed(rows, device_);
    std::vector<std::vector<float>> frames(rows.size());
    if (places.empty()) return frames;
    const int64_t codebooks = config_.lm.codebooks();
    at::Tensor codes = at::zeros({static_cast<int64_t>(places.size()), codebooks, 1}, at::kLong);
    nn::SlotIds slots;
    int64_t* to = codes.data_ptr<int64_t>();
    for (const size_t place : places) {
      const TokensInput& row = rows[place];
      slots.push_back(row.slot);
      if (row.slot != nn::kPadding) std::copy_n(row.tokens.begin() + 1, codebooks, to);
      to += codebooks;
    }
    const at::Tensor pcm =
        frame_decoder_->Decode(codes, *decoder_state_, slots);  // [n, 1, samples]
    const float* from = pcm.const_data_ptr<float>();
    for (const size_t place : places) {
      if (rows[place].slot != nn::kPadding) frames[place].assign(from, from + pcm.size(2));
      from += pcm.size(2);
    }
    return frames;
  });
}

std::vector<FrameOutput> Engine::Step(std::span<const FrameInput> rows, const nn::DebugTap& tap) {
  const auto user = EncodeFrames(rows, tap);
  std::vector<CodesInput> heard;
  for (size_t row = 0; row < rows.size(); ++row) {
    heard.push_back({.slot = rows[row].slot, .codes = user[row]});
  }
  const auto frames = StepCodes(heard, tap);
  std::vector<TokensInput> spoken(rows.size());
  for (size_t row = 0; row < rows.size(); ++row) {
    if (frames[row]) spoken[row] = {.slot = rows[row].slot, .tokens = *frames[row]};
  }
  auto pcm = DecodeFrames(spoken);
  std::vector<FrameOutput> outputs;
  for (size_t row = 0; row < rows.size(); ++row) {
    outputs.push_back({.tokens = frames[row], .pcm = std::move(pcm[row])});
  }
  return outputs;
}

VoicePrompt Engine::EncodeVoiceSamples(const std::string& path,
                                       const std::vector<float>& samples) const {
  return WithDeviceErrors(
      device_, [&] { return EncodeVoice(path, samples, config_.mimi, *encoder_, device_); });
}

}  // namespace ppx::engine
