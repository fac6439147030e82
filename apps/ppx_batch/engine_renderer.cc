#include "ppx_batch/engine_renderer.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "common/measure.h"
#include "engine/device.h"
#include "ppx_batch/finished_files.h"
#include "text/text_track.h"

namespace ppx::app {
namespace {

// Frames of a recording that the codec takes at once: a matrix product over two seconds costs
// little more than one over a frame.
constexpr int64_t kPieceFrames = 25;

struct Inputs final : batch::LoadedDialogue {
  engine::DialogueAudio audio;                   // of a recording
  std::shared_ptr<const script::ClipSet> clips;  // of a script
};

class Stopwatch {
 public:
  explicit Stopwatch(double& total) : total_(total) {}
  ~Stopwatch() { total_ += SecondsSince(start_); }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  double& total_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// The words of a text stream as they become known: once what follows them has begun.
class WordTrack {
 public:
  WordTrack(const text::Tokenizer& tokenizer, double frame_s, text::TextIds ids)
      : tokenizer_(tokenizer), frame_s_(frame_s), ids_(ids) {}

  // The stream up to a new frame, the last one.
  std::vector<base::TimedWord> Known(const std::vector<int32_t>& stream) {
    const std::vector<int32_t> open(stream.begin() + static_cast<std::ptrdiff_t>(from_),
                                    stream.end());
    std::vector<base::TimedWord> words =
        text::TimedWords(open, tokenizer_, frame_s_, static_cast<double>(from_) * frame_s_, ids_);
    if (stream.back() == ids_.pad || stream.back() == ids_.epad) {
      from_ = stream.size();
    } else if (!words.empty()) {
      from_ = static_cast<size_t>(std::llround(words.back().start_s / frame_s_));
      words.pop_back();
    }
    return words;
  }

 private:
  const text::Tokenizer& tokenizer_;
  double frame_s_;
  text::TextIds ids_;
  size_t from_ = 0;
};

}  // namespace

struct EngineRenderer::Agent {
  int slot = 0;
  std::vector<std::vector<int32_t>> codes;  // of the user's frames, encoded ahead
  size_t next_code = 0;
  std::vector<lm::FrameTokens> pending;  // not yet decoded
  std::vector<float> pcm;                // what the agent said
  std::vector<int32_t> text;
  // Live only.
  std::unique_ptr<script::UserSide> user;
  std::unique_ptr<WordTrack> words;
  std::vector<float> heard;  // what it heard
};

struct EngineRenderer::Running {
  const BatchDialogue* dialogue = nullptr;
  std::unique_ptr<Inputs> inputs;
  std::vector<Agent> agents;
  int64_t frame = 0;
  int64_t prompt_steps = 0;

  bool live() const { return dialogue->script != nullptr; }
  bool ended() const {
    if (frame == dialogue->frames) return true;
    return live() && std::any_of(agents.begin(), agents.end(),
                                 [](const Agent& agent) { return agent.user->finished(); });
  }
};

std::unique_ptr<batch::LoadedDialogue> LoadInputs(const RenderContext& context, size_t index) {
  const BatchDialogue& dialogue = (*context.dialogues)[index];
  if (!dialogue.error.empty()) base::ThrowBadInput(dialogue.error);
  auto inputs = std::make_unique<Inputs>();
  const codec::MimiConfig& config = context.config->mimi;
  if (dialogue.script) {
    inputs->clips = std::make_shared<const script::ClipSet>(
        script::LoadClips(*dialogue.script, config.sample_rate_hz, context.synthesiser));
  } else {
    inputs->audio = engine::ReadDialogueAudio(dialogue.audio_path, dialogue.channel,
                                              dialogue.lead_in_s, dialogue.tail_s, config);
    const auto frames = static_cast<int64_t>(inputs->audio.samples.size()) / config.frame_samples();
    if (frames > dialogue.frames) {
      base::ThrowBadInput(dialogue.audio_path + ": has grown since the batch was planned");
    }
  }
  return inputs;
}

EngineRenderer::EngineRenderer(const RenderContext& context, engine::Engine& engine,
                               const std::vector<int64_t>& frames, StageSeconds& seconds)
    : context_(context),
      engine_(engine),
      seconds_(seconds),
      running_(frames.size()),
      rows_(frames.size()) {
  engine_.Resize(frames);
}

EngineRenderer::~EngineRenderer() = default;

std::shared_ptr<const engine::SystemPrompt> EngineRenderer::Prompt(const PromptSource& source) {
  auto& prompt = prompts_[&source];
  if (!prompt) {
    engine::SystemPrompt made{.voice = source.saved_voice, .text_tokens = source.text_tokens};
    if (!source.voice_samples.empty()) {
      made.voice = engine_.EncodeVoiceSamples(source.voice_path, source.voice_samples);
    }
    prompt = std::make_shared<const engine::SystemPrompt>(std::move(made));
  }
  return prompt;
}

void EngineRenderer::Start(std::span<const int> slots, size_t index,
                           std::unique_ptr<batch::LoadedDialogue> inputs) {
  const Stopwatch stopwatch(seconds_.prompt);
  const codec::MimiConfig& mimi = context_.config->mimi;
  auto running = std::make_unique<Running>();
  running->dialogue = &(*context_.dialogues)[index];
  running->inputs.reset(static_cast<Inputs*>(inputs.release()));
  for (size_t i = 0; i < slots.size(); ++i) {
    const AgentSide& side = running->dialogue->agents[i];
    Agent agent;
    agent.slot = slots[i];
    std::string random_name = running->dialogue->random_name;
    if (i > 0) random_name += "/agent_b";
    running->prompt_steps = engine_.Start(agent.slot, {.prompt = Prompt(*side.prompt),
                                                       .sampling = side.sampling,
                                                       .seed = side.seed,
                                                       .dialogue_id = random_name});
    if (running->live()) {
      agent.user = std::make_unique<script::UserSide>(
          *running->dialogue->script, running->inputs->clips, mimi.sample_rate_hz,
          mimi.frame_samples(), side.seed, i == 0 ? script::Side::kA : script::Side::kB);
      agent.words =
          std::make_unique<WordTrack>(*context_.tokenizer, mimi.frame_s(),
                                      text::TextIds{.pad = context_.config->lm.text_padding_id});
    }
    running->agents.push_back(std::move(agent));
  }
  running_[static_cast<size_t>(slots[0])] = std::move(running);
}

void EngineRenderer::EncodeUsers() {
  const auto samples = static_cast<size_t>(context_.config->mimi.frame_samples());
  std::vector<engine::FrameInput> live(running_.size());
  for (const auto& running : running_) {
    if (running == nullptr) continue;
    if (!running->live()) {
      EncodeAhead(*running);
      continue;
    }
    for (size_t i = 0; i < running->agents.size(); ++i) {
      Agent& agent = running->agents[i];
      std::vector<float> frame = agent.user->NextFrame();
      if (running->agents.size() == 2 && running->frame > 0) {
        const std::vector<float>& other = running->agents[1 - i].pcm;
        for (size_t k = 0; k < samples; ++k) frame[k] += other[other.size() - samples + k];
      }
      agent.heard.insert(agent.heard.end(), frame.begin(), frame.end());
      live[static_cast<size_t>(agent.slot)] = {.slot = agent.slot,
                                               .pcm = std::span(agent.heard).last(samples)};
    }
  }
  auto codes = engine_.EncodeFrames(live);
  for (const auto& running : running_) {
    if (running == nullptr) continue;
    for (Agent& agent : running->agents) {
      const auto slot = static_cast<size_t>(agent.slot);
      if (running->live()) {
        agent.codes.clear();
        agent.codes.push_back(std::move(codes[slot]));
        agent.next_code = 0;
      }
      rows_[slot] = {.slot = agent.slot, .codes = agent.codes[agent.next_code++]};
    }
  }
}

void EngineRenderer::EncodeAhead(Running& running) {
  const auto samples = static_cast<size_t>(context_.config->mimi.frame_samples());
  Agent& agent = running.agents.front();
  if (agent.next_code < agent.codes.size()) return;
  const std::span<const float> audio(running.inputs->audio.samples);
  const auto from = static_cast<size_t>(running.frame) * samples;
  const auto piece = static_cast<size_t>(kPieceFrames) * samples;
  agent.codes =
      engine_.Encode(agent.slot, audio.subspan(from, std::min<size_t>(piece, audio.size() - from)));
  agent.next_code = 0;
}

void EngineRenderer::TakeFrames(std::span<const std::optional<lm::FrameTokens>> frames) {
  std::vector<engine::TokensInput> live(running_.size());
  for (const auto& running : running_) {
    if (running == nullptr) continue;
    ++running->frame;
    for (Agent& agent : running->agents) {
      const auto slot = static_cast<size_t>(agent.slot);
      const auto& tokens = frames[slot];
      if (!tokens) {
        // The first frames of a dialogue without a prompt: nothing was decoded before them.
        agent.pcm.resize(
            agent.pcm.size() + static_cast<size_t>(context_.config->mimi.frame_samples()), 0.0F);
        agent.text.push_back(context_.config->lm.text_padding_id);
        continue;
      }
      agent.text.push_back(tokens->front());
      if (running->live()) {
        live[slot] = {.slot = agent.slot, .tokens = *tokens};
      } else {
        agent.pending.push_back(*tokens);
      }
    }
    if (!running->live()) DecodePending(*running);
  }
  const auto pcm = engine_.DecodeFrames(live);
  for (const auto& running : running_) {
    if (running == nullptr || !running->live()) continue;
    for (Agent& agent : running->agents) {
      const std::vector<float>& spoken = pcm[static_cast<size_t>(agent.slot)];
      agent.pcm.insert(agent.pcm.end(), spoken.begin(), spoken.end());
    }
    HearFrame(*running);
  }
}

void EngineRenderer::DecodePending(Running& running) {
  Agent& agent = running.agents.front();
  const bool whole_piece = static_cast<int64_t>(agent.pending.size()) == kPieceFrames;
  const bool last = running.frame == running.dialogue->frames;
  if (agent.pending.empty() || !(whole_piece || last)) return;
  const std::vector<float> pcm = engine_.Decode(agent.slot, agent.pending);
  agent.pcm.insert(agent.pcm.end(), pcm.begin(), pcm.end());
  agent.pending.clear();
}

void EngineRenderer::HearFrame(Running& running) {
  const auto samples = static_cast<size_t>(context_.config->mimi.frame_samples());
  for (Agent& agent : running.agents) {
    const std::vector<base::TimedWord> words = agent.words->Known(agent.text);
    agent.user->HearAgent(std::span(agent.pcm).last(samples), words);
  }
}

std::vector<int> EngineRenderer::Step() {
  std::fill(rows_.begin(), rows_.end(), engine::CodesInput{});
  {
    const Stopwatch stopwatch(seconds_.encode);
    EncodeUsers();
  }
  std::vector<std::optional<lm::FrameTokens>> frames;
  {
    const Stopwatch stopwatch(seconds_.step);
    frames = engine_.StepCodes(rows_);
  }
  const Stopwatch stopwatch(seconds_.decode);
  TakeFrames(frames);
  std::vector<int> ended;
  for (size_t slot = 0; slot < running_.size(); ++slot) {
    if (running_[slot] != nullptr && running_[slot]->ended()) {
      ended.push_back(static_cast<int>(slot));
    }
  }
  return ended;
}

batch::WriteOutputs EngineRenderer::Finish(int slot) {
  const std::unique_ptr<Running> running = std::move(running_[static_cast<size_t>(slot)]);
  const auto samples = static_cast<size_t>(context_.config->mimi.frame_samples());
  auto finished = std::make_shared<FinishedBatchDialogue>();
  finished->dialogue = running->dialogue;
  finished->frames = running->frame;
  finished->prompt_steps = running->prompt_steps;
  if (engine_.device().is_cuda()) finished->slots = slots();
  finished->device = engine_.device().is_cuda() ? "cuda" : "cpu";
  finished->dtype = engine::DtypeName(engine_.dtype());
  finished->damage = engine_.damage();
  Agent& agent = running->agents[0];
  if (running->live()) {
    finished->user = std::move(agent.heard);
    finished->agent = std::move(agent.pcm);
    finished->text = std::move(agent.text);
    finished->events = agent.user->events();
    finished->seed = running->dialogue->agents.front().seed;
    if (running->agents.size() == 2) {
      Agent& other = running->agents[1];
      finished->other_text = std::move(other.text);
      finished->events = script::MergeEvents(finished->events, other.user->events());
    }
  } else {
    const engine::DialogueAudio& audio = running->inputs->audio;
    // Aligned as asked, cut to recording and tail.
    const size_t shift = running->dialogue->align == engine::Align::kLive ? 1 : 0;
    const auto lead_in = static_cast<size_t>(audio.lead_in_frames);
    agent.pcm.insert(agent.pcm.begin(), shift * samples, 0.0F);
    agent.text.insert(agent.text.begin(), shift, context_.config->lm.text_padding_id);
    const auto first = agent.pcm.begin() + static_cast<std::ptrdiff_t>(lead_in * samples);
    finished->agent.assign(first, first + static_cast<std::ptrdiff_t>(audio.output_samples));
    finished->text.assign(agent.text.begin() + static_cast<std::ptrdiff_t>(lead_in),
                          agent.text.end() - static_cast<std::ptrdiff_t>(shift));
    finished->user = audio.AlignedUser(static_cast<int>(samples));
  }
  return [finished, &context = context_] { return WriteFinished(*finished, context); };
}

void EngineRenderer::Drop(int slot) { running_[static_cast<size_t>(slot)].reset(); }

}  // namespace ppx::app
