// What cannot be done is refused with one line and an exit code, and leaves nothing behind.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>
#include <limits>
#include <sstream>

#include "e2e/offline.h"
#include "support/doctest.h"
#include "weights/safetensors.h"

namespace ppx::test {
namespace {

namespace fs = std::filesystem;

constexpr int kUsage = 2;
constexpr int kBadInput = 3;
constexpr int kResource = 4;

void CheckRefused(const Arguments& arguments, int exit_code, const std::string& named,
                  const RunOptions& options = {}) {
  const RunResult run = Offline(arguments, options);
  INFO("expected exit code ", exit_code, " and '", named, "'\n", Told(run));
  CHECK(!run.timed_out);
  CHECK(run.exit_code == exit_code);
  CHECK(run.out.empty());
  std::vector<std::string> lines;
  std::istringstream stream(run.err);
  for (std::string line; std::getline(stream, line);) {
    if (line.rfind("warning: ", 0) != 0) lines.push_back(line);
  }
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].rfind("ppx-offline: ", 0) == 0);
  CHECK(run.err.find(named) != std::string::npos);
}

// A good recording, and a folder for outputs that must stay empty.
class Place {
 public:
  Place() { WriteRecording(inputs / "good.wav", Noise(4000)); }

  std::string good() const { return inputs / "good.wav"; }
  Arguments outputs() const {
    return {"--output-wav", out / "o.wav", "--output-text", out / "o.json"};
  }
  void Refused(const Arguments& arguments, int exit_code, const std::string& named,
               const RunOptions& options = {}) const {
    CheckRefused(arguments + outputs(), exit_code, named, options);
    CHECK(out.Names().empty());
  }
  void RefusedInput(const std::string& input, const Arguments& more = {}) const {
    CAPTURE(input);
    Refused(Tiny(input) + more, kBadInput, input);
  }

  Folder inputs;
  Folder out;
};

// A copy of the bundled checkpoint in `folder`.
std::string CopyTiny(const Folder& folder, const std::string& name) {
  fs::copy(TinyFolder(), folder / name);
  return folder / name;
}

// Rewrites a checkpoint's file; `change` may drop a tensor (return false) or alter its bytes.
void ChangeTensors(const std::string& path,
                   const std::function<bool(const std::string&, std::vector<std::byte>&)>& change) {
  const auto file = weights::SafetensorsFile::Open(path);
  std::vector<std::vector<std::byte>> bytes;
  std::vector<weights::NamedTensor> tensors;
  bytes.reserve(file->tensors().size());
  for (const auto& [name, view] : file->tensors()) {
    bytes.emplace_back(view.data.begin(), view.data.end());
    if (change(name, bytes.back())) tensors.push_back({name, view.dtype, view.shape, bytes.back()});
  }
  weights::WriteSafetensors(path, tensors);
}

TEST_CASE("recordings that are none") {
  const Place place;
  place.RefusedInput(place.inputs / "absent.wav");
  place.RefusedInput(place.inputs.path());
  WriteBytes(place.inputs / "text.wav", "Good morning.\nThis is not a recording.\n");
  place.RefusedInput(place.inputs / "text.wav");
  WriteBytes(place.inputs / "empty.wav", "");
  place.RefusedInput(place.inputs / "empty.wav");
  WriteBytes(place.inputs / "cut.wav", ReadBytes(place.good()).substr(0, 30));
  place.RefusedInput(place.inputs / "cut.wav");
  WriteRecording(place.inputs / "none.wav", {});
  place.RefusedInput(place.inputs / "none.wav");
  auto samples = Noise(4000);
  samples[3000] = std::numeric_limits<float>::quiet_NaN();
  WriteRecording(place.inputs / "nan.wav", samples);
  place.RefusedInput(place.inputs / "nan.wav");
  samples[3000] = std::numeric_limits<float>::infinity();
  WriteRecording(place.inputs / "inf.wav", samples);
  place.RefusedInput(place.inputs / "inf.wav");
  place.RefusedInput(place.good(), {"--channel", "1"});
}

TEST_CASE("damaged checkpoints") {
  const Place place;
  const auto refused = [&](const std::string& name, const std::string& file,
                           const std::function<void(const std::string&)>& damage) {
    CAPTURE(name);
    const std::string model = CopyTiny(place.inputs, name);
    damage(model + "/" + file);
    place.Refused({"--model", model, "--input-wav", place.good()}, kBadInput, model + "/" + file);
  };
  const auto to_bytes = [](const std::function<std::string(std::string)>& change) {
    return [change](const std::string& path) { WriteBytes(path, change(ReadBytes(path))); };
  };
  const auto cut =
      to_bytes([](const std::string& bytes) { return bytes.substr(0, bytes.size() / 2); });
  refused("cut_lm", "model.safetensors", cut);
  refused("cut_codec", "mimi.safetensors", cut);
  refused("empty", "model.safetensors", to_bytes([](const std::string&) { return std::string(); }));
  refused("lying_header", "model.safetensors", to_bytes([](std::string bytes) {
            const uint64_t length = uint64_t{1} << 62;
            std::memcpy(bytes.data(), &length, sizeof(length));
            return bytes;
          }));
  refused("nan_lm", "model.safetensors", [](const std::string& path) {
    ChangeTensors(path, [](const std::string& name, std::vector<std::byte>& data) {
      if (name == "text_linear.weight") data[100] = std::byte{0xC0}, data[101] = std::byte{0x7F};
      return true;
    });
  });
  refused("nan_codec", "mimi.safetensors", [](const std::string& path) {
    ChangeTensors(path, [](const std::string& name, std::vector<std::byte>& data) {
      const float nan = std::numeric_limits<float>::quiet_NaN();
      if (name == "encoder.model.0.conv.conv.weight") std::memcpy(data.data(), &nan, sizeof(nan));
      return true;
    });
  });
  const auto drop = [](const std::string& missing) {
    return [missing](const std::string& path) {
      ChangeTensors(path, [&](const std::string& name, auto&) { return name != missing; });
    };
  };
  refused("missing_lm", "model.safetensors", drop("emb.3.weight"));
  refused("missing_codec", "mimi.safetensors", drop("upsample.convtr.convtr.convtr.weight"));
  refused("tokenizer_garbage", "tokenizer_spm.model",
          to_bytes([](const std::string&) { return std::string(3000, '\xA5'); }));
  refused("tokenizer_empty", "tokenizer_spm.model",
          to_bytes([](const std::string&) { return std::string(); }));
  refused("config_garbage", "config.json",
          to_bytes([](const std::string&) { return "{\"dim\": 64,"; }));
  refused("config_list", "config.json", to_bytes([](const std::string&) { return "[1, 2]"; }));
  const auto config = [](const std::function<void(nlohmann::json&)>& change) {
    return [change](const std::string& path) {
      auto json = ReadJson(path);
      change(json);
      WriteBytes(path, json.dump());
    };
  };
  refused("config_negative", "config.json", config([](auto& json) { json["dim"] = -64; }));
  refused("config_type", "config.json", config([](auto& json) { json["dim"] = "large"; }));
  refused("config_hop", "config.json", config([](auto& json) {
            json["mimi"]["seanet"]["ratios"] = {7, 6, 5, 4};
          }));
}

TEST_CASE("a model's folder without its weights") {
  const Place place;
  const std::string model = CopyTiny(place.inputs, "model");
  fs::remove(model + "/model.safetensors");
  place.Refused({"--model", model, "--input-wav", place.good()}, kBadInput,
                model + ": missing model.safetensors");
}

TEST_CASE("a checkpoint that is not of the sizes in its config") {
  const Place place;
  for (const char* field : {"dim", "card", "num_layers", "depformer_dim"}) {
    CAPTURE(field);
    const std::string model = CopyTiny(place.inputs, field);
    auto json = ReadJson(model + "/config.json");
    json[field] = json[field].get<int>() * 2;
    WriteBytes(model + "/config.json", json.dump());
    place.Refused({"--model", model, "--input-wav", place.good()}, kBadInput, model + "/");
  }
}

TEST_CASE("voices that are none") {
  const Place place;
  const auto refused = [&](const std::string& voice) {
    CAPTURE(voice);
    place.Refused(Tiny(place.good()) + Arguments{"--voice-prompt", voice}, kBadInput, voice);
  };
  refused("NoSuchVoice");
  refused(place.inputs / "absent.pt");
  WriteBytes(place.inputs / "text.pt", "not a pickle\n");
  refused(place.inputs / "text.pt");
  WriteBytes(place.inputs / "cut.pt", ReadBytes(GoldenFile("voice.pt")).substr(0, 3000));
  refused(place.inputs / "cut.pt");
  // A zip that holds the pickle of {"a": [1, 2]}, and one that would run a command.
  const std::string make_pickles = R"(
import os, pickle, sys, zipfile
class Evil:
    def __reduce__(self):
        return os.system, ("touch " + sys.argv[1] + "/pwned",)
for name, value in ("other", {"a": [1, 2]}), ("evil", {"embeddings": Evil(), "cache": Evil()}):
    with zipfile.ZipFile(f"{sys.argv[1]}/{name}.pt", "w") as archive:
        archive.writestr(f"{name}/data.pkl", pickle.dumps(value, 2))
        archive.writestr(f"{name}/version", "3\n")
)";
  const RunResult made = RunProgram({"python3", "-c", make_pickles, place.inputs.path()});
  INFO(Told(made));
  REQUIRE(made.exit_code == 0);
  refused(place.inputs / "other.pt");
  refused(place.inputs / "evil.pt");
  CHECK(!fs::exists(place.inputs / "pwned"));
  WriteBytes(place.inputs / "text.wav", "not a recording\n");
  refused(place.inputs / "text.wav");
  refused(TinyFolder() + "/model.safetensors");
}

TEST_CASE("models that are nowhere") {
  const Place place;
  const Folder home;
  RunOptions options;
  options.environment["HF_HOME"] = home.path();
  // The released model is gated.
  for (const std::string& part : {std::string("hf auth login"), std::string("scripts/fetch-model"),
                                  std::string("--model FOLDER"), home.path()}) {
    place.Refused({"--hf-repo", "nvidia/personaplex-7b-v1", "--input-wav", place.good()}, kBadInput,
                  part, options);
  }
  // So it is where some of its files are named.
  place.Refused({"--tokenizer", TinyFolder() + "/tokenizer_spm.model", "--input-wav", place.good()},
                kBadInput, "hf auth login", options);
  place.Refused({"--model", "someone/else", "--input-wav", place.good()}, kBadInput,
                "scripts/fetch-model --repo someone/else", options);
  place.Refused({"--model", "no_such_folder", "--input-wav", place.good()}, kBadInput,
                "no_such_folder");
  place.Refused(Tiny(place.good()) + Arguments{"--moshi-weight", place.inputs / "w.safetensors"},
                kBadInput, place.inputs / "w.safetensors");
  place.Refused(Tiny(place.good()) + Arguments{"--tokenizer", place.inputs / "t.model"}, kBadInput,
                place.inputs / "t.model");
  place.Refused(Tiny(place.good()) + Arguments{"--model-config", place.inputs / "c.json"},
                kBadInput, place.inputs / "c.json");
}

TEST_CASE("command lines that make no sense") {
  const Place place;
  const Arguments tiny = Tiny(place.good());
  const auto refused = [&](const Arguments& more, const std::string& named) {
    CAPTURE(named);
    place.Refused(tiny + more, kUsage, named);
  };
  refused({"--no-such-option"}, "--no-such-option");
  refused({"stray.wav"}, "stray.wav");
  refused({"--seed", "many"}, "--seed");
  refused({"--align", "sideways"}, "--align");
  refused({"--channel", "-1"}, "--channel");
  refused({"--lead-in", "-1"}, "--lead-in");
  refused({"--tail", "nan"}, "--tail");
  refused({"--temp-audio", "-0.5"}, "--temp-audio");
  refused({"--temp-text", "inf"}, "--temp-text");
  refused({"--context", "0"}, "--context");
  refused({"--context", "12x"}, "--context");
  refused({"--device", "toaster"}, "--device");
  refused({"--device", "cuda:x"}, "--device");
  refused({"--threads", "99999"}, "--threads");
  refused({"--trace-values", "lm.text_logits"}, "--trace");
  refused({"--trace", place.out / "t", "--trace-values", "lm.secret"}, "lm.secret");
  refused({"--save-voice", place.out / "v.safetensors"}, "--voice-prompt");
  CheckRefused({"--model", TinyFolder(), "--output-wav", place.out / "o.wav"}, kUsage,
               "--input-wav");
  CheckRefused(tiny, kUsage, "--output-wav");

  WriteBytes(place.inputs / "bad.yaml", "seed: 1\nlevel: [1\n");
  refused({"--config", place.inputs / "bad.yaml"}, place.inputs / "bad.yaml");
  WriteBytes(place.inputs / "other.yaml", "sead: 1\n");
  refused({"--config", place.inputs / "other.yaml"}, "sead");
  refused({"--config", place.inputs / "absent.yaml"}, place.inputs / "absent.yaml");
  WriteBytes(place.inputs / "value.yaml", "seed: many\n");
  refused({"--config", place.inputs / "value.yaml"}, "seed");
}

TEST_CASE("personas that are none") {
  const Place place;
  place.Refused(Tiny(place.good()) + Arguments{"--persona", "no-such-persona"}, kBadInput,
                "no-such-persona");
  WriteBytes(place.inputs / "bad.yaml", "text_prompt: [1, 2]\n");
  place.Refused(Tiny(place.good()) + Arguments{"--persona", place.inputs / "bad.yaml"}, kBadInput,
                place.inputs / "bad.yaml");
}

TEST_CASE("outputs that cannot be written") {
  const Place place;
  const Arguments tiny = Tiny(place.good());
  const auto refused = [&](const std::string& option, const std::string& path, int exit_code) {
    CAPTURE(option);
    CAPTURE(path);
    CheckRefused(tiny + Arguments{option, path}, exit_code, path);
  };
  const std::vector<std::string> before = place.inputs.Names();
  const std::string input_before = ReadBytes(place.good());
  refused("--output-wav", place.good() + "/o.wav", kUsage);
  refused("--output-wav", place.inputs / "no/folder/o.wav", kUsage);
  refused("--output-wav", place.inputs.path(), kUsage);
  refused("--output-wav", "/proc/nonexistent/o.wav", kUsage);
  refused("--output-wav", "/proc/ppx.wav", kUsage);
  refused("--output-wav", place.good(), kUsage);  // the recording itself
  refused("--output-wav",
          place.inputs / "../" + fs::path(place.inputs.path()).filename().string() + "/good.wav",
          kUsage);
  refused("--output-dir", place.good() + "/folder", kUsage);
  refused("--output-wav", "/dev/full", kResource);
  CHECK(place.inputs.Names() == before);
  CHECK(ReadBytes(place.good()) == input_before);

  // A disk that fills up while the last file is written: what was finished before stays.
  CheckRefused(
      tiny + Arguments{"--output-wav", place.out / "o.wav", "--output-record", "/dev/full"},
      kResource, "/dev/full");
  CHECK(place.out.Names() == std::vector<std::string>{"o.wav"});
  fs::remove(place.out / "o.wav");

  CheckRefused(
      tiny + Arguments{"--output-wav", place.out / "same", "--output-text", place.out / "same"},
      kUsage, place.out / "same");
  place.Refused(tiny + Arguments{"--output-words", place.good() + "/w.json"}, kUsage,
                place.good() + "/w.json");
  place.Refused(tiny + Arguments{"--trace", place.inputs / "no/t.safetensors"}, kUsage,
                place.inputs / "no/t.safetensors");
}

TEST_CASE("prompts that do not fit the model") {
  const Place place;
  // 256 pieces against a model of 100 embeddings.
  const std::string model = CopyTiny(place.inputs, "few_pieces");
  auto config = ReadJson(model + "/config.json");
  config["text_card"] = 100;
  WriteBytes(model + "/config.json", config.dump());
  place.Refused({"--model", model, "--input-wav", place.good(), "--text-prompt", "You are kind."},
                kBadInput, model + "/tokenizer_spm.model");

  std::string prompt;
  for (int i = 0; i < 120; ++i) prompt += "Be kind. ";
  const RunResult run =
      Offline(Tiny(place.good()) + Arguments{"--text-prompt", prompt} + place.outputs());
  INFO(Told(run));
  CHECK(run.exit_code == 0);
  CHECK(run.err.find("warning: the text prompt has ") != std::string::npos);
}

TEST_CASE("dialogues beyond the window") {
  const Place place;
  WriteRecording(place.inputs / "long.wav", Noise(70 * 1920));
  const Arguments run = Tiny(place.inputs / "long.wav") + Arguments{"--context", "60"};
  place.Refused(run + Arguments{"--beyond-context", "refuse"}, kBadInput, "--beyond-context allow");
  const RunResult allowed = Offline(run + Arguments{"--beyond-context", "allow"} + place.outputs());
  INFO(Told(allowed));
  CHECK(allowed.exit_code == 0);
  CHECK(allowed.err.find("warning: the prompt's ") != std::string::npos);
  CHECK(allowed.err.find(" 60 that the model looks back over") != std::string::npos);
  CHECK(ReadSamples(place.out / "o.wav").size() == 70 * 1920);
}

TEST_CASE("a GPU where there is none") {
  if (fs::exists("/proc/driver/nvidia/version") || fs::exists("/dev/dxg")) return;
  const Place place;
  place.Refused(Tiny(place.good()) + Arguments{"--device", "cuda"}, kResource, "--device cpu");
}

}  // namespace
}  // namespace ppx::test
