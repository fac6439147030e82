// Mimi against the reference implementation, on the small checkpoint.
#include <algorithm>
#include <map>

#include "audio/wav_reader.h"
#include "codec/mimi.h"
#include "engine/engine.h"
#include "engine/voice_prompt.h"
#include "support/golden_files.h"
#include "support/tolerance.h"

namespace ppx::test {
namespace {

const nn::WeightLoader::Options kPacked{.form = kernels::WeightForm::kF32};
const nn::WeightLoader::Options kPlain{};  // as on a GPU: LibTorch's operations alone

struct Codec {
  explicit Codec(const nn::WeightLoader::Options& options = kPacked)
      : loader(weights::SafetensorsFile::Open(TinyModel("mimi.safetensors")), options) {}

  engine::ModelConfig config = engine::ModelConfig::Read(TinyModel("config.json"));
  nn::WeightLoader loader;
  codec::MimiEncoder encoder{config.mimi, config.lm.codebooks(), loader};
  codec::MimiDecoder decoder{config.mimi, config.lm.codebooks(), loader};
};

at::Tensor UserFrames(const Codec& codec) {  // [1, 1, F * frame_samples]
  base::Audio audio = audio::ReadAudio(GoldenFile("user.wav"));
  const auto frame = static_cast<size_t>(codec.config.mimi.frame_samples());
  audio.samples.resize((audio.samples.size() + frame - 1) / frame * frame, 0.0F);
  return at::tensor(audio.samples).view({1, 1, -1});
}

// Encodes `frames` frames at a time.
at::Tensor EncodeInPieces(const Codec& codec, const at::Tensor& pcm, int64_t frames,
                          const nn::DebugTap& tap = {}) {
  nn::SlotState state = codec.encoder.NewState(1);
  std::vector<at::Tensor> codes;
  const int64_t piece = frames * codec.config.mimi.frame_samples();
  for (int64_t begin = 0; begin < pcm.size(2); begin += piece) {
    const int64_t count = std::min(piece, pcm.size(2) - begin);
    codes.push_back(codec.encoder.Encode(pcm.narrow(2, begin, count), state, {0}, tap));
  }
  return at::cat(codes, 2).squeeze(0);
}

void CheckEncoder(const Codec& codec) {
  codec.loader.Finish();
  std::map<std::string, std::vector<at::Tensor>> seen;
  const at::Tensor codes =
      EncodeInPieces(codec, UserFrames(codec), 1, [&](std::string_view name, const at::Tensor& x) {
        seen[std::string(name)].push_back(x.clone());
      });
  CheckEqual(codes, Golden("mimi.user_codes"));
  for (const char* name : {"mimi.encoder_out", "mimi.encoder_transformer_out", "mimi.latent"}) {
    CAPTURE(name);
    CheckClose(at::cat(seen[name], 2).squeeze(0), Golden(name));
  }
}

TEST_CASE("the encoder gives the reference's values, frame by frame") {
  CheckEncoder(Codec());
  CheckEncoder(Codec(kPlain));
}

TEST_CASE("encoding in larger pieces gives the same codes") {
  const Codec codec;
  const at::Tensor pcm = UserFrames(codec);
  for (const int64_t frames : {2, 7, 75}) {
    CAPTURE(frames);
    CheckEqual(EncodeInPieces(codec, pcm, frames), Golden("mimi.user_codes"));
  }
}

void CheckDecoder(const Codec& codec) {
  const at::Tensor codes = Golden("mimi.decode_codes").to(at::kLong).unsqueeze(0);
  for (const int64_t frames : {1, 4, 60}) {
    CAPTURE(frames);
    nn::SlotState state = codec.decoder.NewState(1);
    std::vector<at::Tensor> pcm;
    for (int64_t begin = 0; begin < codes.size(2); begin += frames) {
      pcm.push_back(codec.decoder.Decode(codes.narrow(2, begin, frames), state, {0}));
    }
    CheckClose(at::cat(pcm, 2).view({-1}), Golden("mimi.decode_pcm"));
  }
}

TEST_CASE("the decoder gives the reference's samples, frame by frame and in larger pieces") {
  CheckDecoder(Codec());
  CheckDecoder(Codec(kPlain));
}

// Calls part(x, state, slots) with `x` [1, steps, channels] cut into pieces, beside other rows.
template <typename NewState, typename Part>
void CheckSameBits(const at::Tensor& x, int64_t steps, const NewState& new_state,
                   const Part& part) {
  nn::SlotState alone = new_state(1);
  const at::Tensor whole = part(x, alone, nn::SlotIds{0});
  for (const int64_t frames : {1, 7}) {
    CAPTURE(frames);
    nn::SlotState state = new_state(3);
    std::vector<at::Tensor> pieces;
    for (int64_t begin = 0; begin < x.size(1); begin += frames * steps) {
      const at::Tensor piece = x.narrow(1, begin, std::min(frames * steps, x.size(1) - begin));
      pieces.push_back(part(at::cat({piece.flip(1), piece, piece.flip(1)}), state,
                            nn::SlotIds{0, 2, nn::kPadding})
                           .narrow(0, 1, 1));
    }
    CheckEqual(at::cat(pieces, 1), whole);
  }
}

TEST_CASE("the codec gives the same bits however the signal is cut, and whoever is beside it") {
  const Codec codec;
  for (const std::string_view wanted : {"mimi.encoder_out", "mimi.latent"}) {
    CAPTURE(wanted);
    const auto seen = [&](const at::Tensor& pcm, nn::SlotState& state, const nn::SlotIds& slots) {
      at::Tensor values;
      codec.encoder.Encode(pcm.transpose(1, 2), state, slots,
                           [&](std::string_view name, const at::Tensor& value) {
                             if (name == wanted) values = value.clone();
                           });
      return values.transpose(1, 2);
    };
    CheckSameBits(
        UserFrames(codec).transpose(1, 2), codec.config.mimi.frame_samples(),
        [&](int slots) { return codec.encoder.NewState(slots); }, seen);
  }
  const auto spoken = [&](const at::Tensor& codes, nn::SlotState& state, const nn::SlotIds& slots) {
    return codec.decoder.Decode(codes.transpose(1, 2), state, slots).transpose(1, 2);
  };
  CheckSameBits(
      Golden("mimi.decode_codes").to(at::kLong).unsqueeze(0).transpose(1, 2), 1,
      [&](int slots) { return codec.decoder.NewState(slots); }, spoken);
}

TEST_CASE("the voice recording is normalised and encoded as the reference does") {
  const Codec codec;
  const std::vector<float> samples =
      engine::ReadVoiceRecording(GoldenFile("voice.wav"), codec.config.mimi);
  const at::Tensor normalised = Golden("voice.normalized_pcm");
  CheckClose(at::tensor(samples).narrow(0, 0, normalised.size(0)), normalised);
  const engine::VoicePrompt voice =
      engine::EncodeVoice("voice.wav", samples, codec.config.mimi, codec.encoder, at::kCPU);
  const at::Tensor expected = Golden("voice.codes").contiguous();
  REQUIRE(static_cast<int64_t>(voice.codes.size()) == expected.size(1));
  for (int64_t frame = 0; frame < expected.size(1); ++frame) {
    for (int64_t k = 0; k < expected.size(0); ++k) {
      CHECK(voice.codes[static_cast<size_t>(frame)][static_cast<size_t>(k)] ==
            expected[k][frame].item<int32_t>());
    }
  }
}

TEST_CASE("a slot that is reset starts as a new one, whatever its neighbours do") {
  const Codec codec;
  const at::Tensor pcm = UserFrames(codec);
  const int64_t frame = codec.config.mimi.frame_samples();
  nn::SlotState state = codec.encoder.NewState(3);
  const auto piece = [&](int64_t i) { return pcm.narrow(2, i * frame, frame); };
  // Slots 0 and 2 run on other audio; slot 1 joins later, in the middle of it.
  for (int64_t i = 0; i < 5; ++i) {
    codec.encoder.Encode(at::cat({piece(40 + i), piece(i), piece(20 + i)}, 0), state, {0, 1, 2});
  }
  state.Reset(1);
  std::vector<at::Tensor> codes;
  for (int64_t i = 0; i < 30; ++i) {
    const nn::SlotIds slots =
        i % 2 == 0 ? nn::SlotIds{1, nn::kPadding, 0} : nn::SlotIds{2, 1, nn::kPadding};
    const at::Tensor batch = i % 2 == 0 ? at::cat({piece(i), piece(9), piece(45 + i)}, 0)
                                        : at::cat({piece(25 + i), piece(i), piece(3)}, 0);
    codes.push_back(codec.encoder.Encode(batch, state, slots).narrow(0, i % 2, 1));
  }
  CheckEqual(at::cat(codes, 2).squeeze(0), Golden("mimi.user_codes").narrow(1, 0, 30));
}

}  // namespace
}  // namespace ppx::test
