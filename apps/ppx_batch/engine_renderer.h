// apps/ppx_batch/engine_renderer.h: where the scheduler meets the engine.
//
// A row of every step is a slot, taken or not, so the arithmetic of a dialogue depends on the
// number of slots and never on who else is in them. What a dialogue is cut into for the codec
// depends on its own frames alone.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "batch/renderer.h"
#include "engine/engine.h"
#include "ppx_batch/dialogue.h"
#include "script/clip_set.h"
#include "script/speech_synthesiser.h"
#include "script/user_side.h"
#include "text/tokenizer.h"

namespace ppx::app {

// What all renderers of a batch share, const while they run.
struct RenderContext {
  const std::vector<BatchDialogue>* dialogues = nullptr;
  const engine::ModelConfig* config = nullptr;
  const text::Tokenizer* tokenizer = nullptr;
  const script::SpeechSynthesiser* synthesiser = nullptr;  // may be null
  std::string output_folder;
};

// Seconds of a device's time, by what they went to.
struct StageSeconds {
  double prompt = 0;
  double encode = 0;
  double step = 0;
  double decode = 0;
};

// Reads a dialogue's recording or clips; the scheduler's LoadDialogue.
std::unique_ptr<batch::LoadedDialogue> LoadInputs(const RenderContext& context, size_t index);

class EngineRenderer final : public batch::Renderer {
 public:
  // Gives the engine a slot for each of `frames`, as batch::MakeRenderer. `context`, `engine` and
  // `seconds` outlive the renderer and the writers it hands out.
  EngineRenderer(const RenderContext& context, engine::Engine& engine,
                 const std::vector<int64_t>& frames, StageSeconds& seconds);
  ~EngineRenderer() override;

  int slots() const override { return engine_.slots(); }
  void Start(std::span<const int> slots, size_t index,
             std::unique_ptr<batch::LoadedDialogue> inputs) override;
  std::vector<int> Step() override;
  batch::WriteOutputs Finish(int slot) override;
  void Drop(int slot) override;

 private:
  struct Agent;
  struct Running;

  std::shared_ptr<const engine::SystemPrompt> Prompt(const PromptSource& source);
  // The next frame of every user, into rows_: those that wait for the agent all at once, recordings
  // some frames ahead.
  void EncodeUsers();
  void EncodeAhead(Running& running);
  void TakeFrames(std::span<const std::optional<lm::FrameTokens>> frames);
  void DecodePending(Running& running);
  void HearFrame(Running& running);

  const RenderContext& context_;
  engine::Engine& engine_;
  StageSeconds& seconds_;
  std::vector<std::unique_ptr<Running>> running_;  // by first slot
  std::vector<engine::CodesInput> rows_;           // one a slot, and padding
  std::map<const PromptSource*, std::shared_ptr<const engine::SystemPrompt>> prompts_;
};

}  // namespace ppx::app
