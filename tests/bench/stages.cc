#include "bench/stages.h"

#include <algorithm>
#include <numeric>
#include <string_view>

#include "codec/cuda/graph_codec.h"
#include "engine/system_prompt.h"

namespace ppx::bench {
namespace {

constexpr int kRepeats = 3;

double& At(std::array<double, kStages>& seconds, Stage stage) {
  return seconds[static_cast<size_t>(stage)];
}

// Steps of a prompt: every token is given.
std::vector<lm::StepInput> PromptSteps(const lm::LmConfig& config, int64_t count) {
  const auto codebooks = static_cast<size_t>(config.codebooks());
  std::vector<lm::StepInput> steps;
  for (int64_t i = 0; i < count; ++i) {
    std::vector<int32_t> codes(codebooks, static_cast<int32_t>(i % config.card));
    steps.push_back({.slot = 0,
                     .user = codes,
                     .agent = codes,
                     .text = static_cast<int32_t>(i % config.text_card)});
  }
  return steps;
}

void Prefill(const engine::Engine& engine, int64_t steps, lm::LmState& state) {
  const lm::LmModel& model = engine.lm();
  // One more: a dialogue's start-up step feeds nothing.
  const auto inputs = engine::PromptInputs(PromptSteps(model.config(), steps + 1), state.tokens[0]);
  model.Prefill(0, model.EmbedInputs(inputs), state);
}

at::Tensor RandomAudio(const engine::Engine& engine, int64_t rows, int64_t frames) {
  return at::randn({rows, 1, frames * engine.config().mimi.frame_samples()}).mul_(0.1);
}

at::Tensor RandomCodes(const engine::Engine& engine, int64_t frames) {
  const lm::LmConfig& config = engine.config().lm;
  return at::randint(0, config.card, {1, config.codebooks(), frames}, at::kLong);
}

// The slots of one measurement and what they have seen.
class Slots {
 public:
  Slots(const engine::Engine& engine, const StepPlan& plan)
      : engine_(engine),
        encoder_(engine.encoder().NewState(plan.slots)),
        decoder_(engine.decoder().NewState(plan.slots)),
        frame_encoder_(engine.encoder()),
        frame_decoder_(engine.decoder()),
        lm_(engine.lm().NewState(
            std::vector<int64_t>(static_cast<size_t>(plan.slots), StepsNeeded(plan)))) {
    for (int slot = 0; slot < plan.slots; ++slot) {
      slots_.push_back(slot);
      lm_.settings[static_cast<size_t>(slot)].random.dialogue = static_cast<uint64_t>(slot);
    }
    Fill(plan);
  }

  // One frame of all slots. With `seconds` every stage is timed, which on a GPU takes away what the
  // stages could do at the same time.
  void Step(const at::Tensor& pcm, std::array<double, kStages>* seconds) {
    const lm::LmConfig& config = engine_.config().lm;
    const at::Device device = engine_.device();
    const auto n = static_cast<int64_t>(slots_.size());
    const int64_t codebooks = config.codebooks();
    double last = Now();
    const auto lap = [&](Stage stage) {
      if (seconds == nullptr) return;
      Synchronize(device);
      const double now = Now();
      At(*seconds, stage) += now - last;
      last = now;
    };

    const at::Tensor user = frame_encoder_.Encode(pcm, encoder_, slots_);  // [n, codebooks, 1]
    lap(Stage::kEncode);

    std::vector<lm::StepInput> inputs;
    for (int64_t row = 0; row < n; ++row) {
      const int32_t* codes = user.const_data_ptr<int32_t>() + row * codebooks;
      inputs.push_back({.slot = static_cast<int>(row), .user = {codes, codes + codebooks}});
    }
    nn::DebugTap tap;
    if (seconds != nullptr) {
      tap = [&](std::string_view name, const at::Tensor& value) {
        if (name == "lm.transformer_out") lap(Stage::kTemporal);
        if (name == "lm.text_logits") {
          lap(Stage::kTextLogits);
          text_logits_ = value;
        }
        if (name == "lm.audio_logits") {
          lap(Stage::kDepth);
          audio_logits_ = value;
        }
      };
    }
    const auto frames = engine_.lm().Step(inputs, lm_, tap);
    lap(Stage::kSampling);

    at::Tensor agent = at::zeros({n, codebooks, 1}, at::kLong);
    for (int64_t row = 0; row < n; ++row) {
      const auto& tokens = frames[static_cast<size_t>(row)];
      if (!tokens) continue;
      std::copy_n(tokens->begin() + 1, codebooks, agent.data_ptr<int64_t>() + row * codebooks);
    }
    frame_decoder_.Decode(agent, decoder_, slots_);
    lap(Stage::kDecode);
  }

  // Sampling runs between the text logits and the last audio logits, so that the taps count it with
  // the depth transformer. Timed here on the logits of the last timed step, and moved.
  double SamplingSeconds() const {
    const auto n = static_cast<size_t>(text_logits_.size(0));
    const lm::SamplingOptions sampling;
    const auto draw = [&](const at::Tensor& logits, double temperature, int top_k, int stream) {
      std::vector<float> uniforms;
      for (const lm::SlotSettings& settings : lm_.settings) {
        uniforms.push_back(settings.random.Uniform(0, stream));
      }
      lm::SampleTokens(logits, std::vector<double>(n, temperature), std::vector<int>(n, top_k),
                       uniforms);
    };
    const auto all = [&] {
      draw(text_logits_, sampling.temp_text, sampling.topk_text, 0);
      for (int64_t k = 0; k < audio_logits_.size(1); ++k) {
        draw(audio_logits_.select(1, k).contiguous(), sampling.temp_audio, sampling.topk_audio,
             static_cast<int>(k) + 1);
      }
      Synchronize(engine_.device());
    };
    all();
    const double begin = Now();
    for (int repeat = 0; repeat < kRepeats; ++repeat) all();
    return (Now() - begin) / kRepeats;
  }

 private:
  // Everything is computed for the first slot, and the others continue where it stands.
  void Fill(const StepPlan& plan) {
    Prefill(engine_, plan.fill, lm_);
    if (plan.codec_fill > 0) {
      const at::Device device = engine_.device();
      engine_.encoder().Encode(RandomAudio(engine_, 1, plan.codec_fill).to(device), encoder_, {0});
      engine_.decoder().Decode(RandomCodes(engine_, plan.codec_fill).to(device), decoder_, {0});
    }
    if (plan.slots == 1) return;
    const lm::LmSnapshot lm = lm_.Save(0);
    const nn::SlotSnapshot encoder = encoder_.Save(0);
    const nn::SlotSnapshot decoder = decoder_.Save(0);
    for (int slot = 1; slot < plan.slots; ++slot) {
      lm_.Restore(lm, slot);
      encoder_.Restore(encoder, slot);
      decoder_.Restore(decoder, slot);
    }
  }

  const engine::Engine& engine_;
  nn::SlotIds slots_;
  nn::SlotState encoder_;
  nn::SlotState decoder_;
  codec::GraphEncoder frame_encoder_;
  codec::GraphDecoder frame_decoder_;
  lm::LmState lm_;
  at::Tensor text_logits_;   // [n, text_card]
  at::Tensor audio_logits_;  // [n, codebooks, card]
};

}  // namespace

int64_t StepsNeeded(const StepPlan& plan) {
  return plan.fill + int64_t{2} * (plan.warm_up + plan.frames);
}

StepTimes MeasureSteps(const engine::Engine& engine, const StepPlan& plan) {
  Slots slots(engine, plan);
  StepTimes times;
  times.slots = plan.slots;
  const auto step = [&](std::array<double, kStages>* seconds) {
    const at::Tensor pcm = RandomAudio(engine, plan.slots, 1);
    Synchronize(engine.device());
    const double begin = Now();
    slots.Step(pcm, seconds);
    return Now() - begin;
  };

  std::array<double, kStages> unused{};
  for (int frame = 0; frame < plan.warm_up; ++frame) {
    step(nullptr);
    step(&unused);
  }
  const MemoryUse before = ReadMemoryUse(engine.device());
  // In turns, so that what disturbs the machine for a while disturbs both alike.
  for (int frame = 0; frame < plan.frames; ++frame) {
    times.whole_s.push_back(step(nullptr));
    std::array<double, kStages> seconds{};
    step(&seconds);
    for (size_t stage = 0; stage < kStages; ++stage) {
      times.stage_s[stage].push_back(seconds[stage]);
    }
  }
  const MemoryUse after = ReadMemoryUse(engine.device());
  times.minor_faults = after.minor_faults - before.minor_faults;
  times.major_faults = after.major_faults - before.major_faults;
  times.anonymous_bytes = after.anonymous_bytes;

  const double sampling = slots.SamplingSeconds();
  for (double& seconds : times.stage_s[static_cast<size_t>(Stage::kDepth)]) {
    seconds = std::max(0.0, seconds - sampling);
  }
  for (double& seconds : times.stage_s[static_cast<size_t>(Stage::kSampling)]) seconds += sampling;

  const engine::ModelConfig& config = engine.config();
  const double steps = 2.0 * plan.warm_up + plan.frames;
  times.positions.lm = std::min<double>(static_cast<double>(plan.fill) + steps, config.lm.context);
  times.positions.codec = std::min<double>(
      (plan.codec_fill + steps) * config.mimi.steps_per_frame(), config.mimi.transformer.context);
  return times;
}

double MeasurePrefill(const engine::Engine& engine, int64_t steps) {
  lm::LmState state = engine.lm().NewState(std::vector<int64_t>{steps});
  double seconds = 0;
  for (int repeat = 0; repeat <= kRepeats; ++repeat) {
    state.Reset(0);
    Synchronize(engine.device());
    const double begin = Now();
    Prefill(engine, steps, state);
    Synchronize(engine.device());
    if (repeat > 0) seconds += Now() - begin;  // the first one warms up
  }
  return seconds / kRepeats;
}

PieceTimes MeasurePieces(const engine::Engine& engine, int frames) {
  const at::Device device = engine.device();
  nn::SlotState encoder = engine.encoder().NewState(1);
  nn::SlotState decoder = engine.decoder().NewState(1);
  const at::Tensor audio = RandomAudio(engine, 1, frames);
  const at::Tensor codes = RandomCodes(engine, frames);
  PieceTimes times;
  for (int repeat = 0; repeat <= kRepeats; ++repeat) {
    const double begin = Now();
    engine.encoder().Encode(audio.to(device), encoder, {0}).to(at::kCPU);
    const double middle = Now();
    engine.decoder().Decode(codes.to(device), decoder, {0}).to(at::kCPU);
    if (repeat == 0) continue;  // warms up
    times.encode_s += middle - begin;
    times.decode_s += Now() - middle;
  }
  const double measured = static_cast<double>(kRepeats) * frames;
  times.encode_s /= measured;
  times.decode_s /= measured;
  return times;
}

}  // namespace ppx::bench
