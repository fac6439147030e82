// scripts/make-random-checkpoint: its tables against the real checkpoints', its values against an
// implementation of its formula of our own.

#include <cmath>
#include <cstdint>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>

#include "hub/model_files.h"
#include "hub_test_util.h"
#include "support/doctest.h"

namespace ppx::hub {
namespace {

const std::string kSource = PPX_SOURCE_DIR;
const std::string kScript = kSource + "/scripts/make-random-checkpoint";
const std::string kTinyConfig = kSource + "/configs/tiny/config.json";

struct Safetensors {
  nlohmann::json header;
  std::string data;
};

Safetensors Read(const fs::path& path) {
  const std::string bytes = ReadFile(path);
  REQUIRE(bytes.size() > 8);
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof(length));
  REQUIRE(length <= bytes.size() - 8);
  CHECK(length % 8 == 0);
  return {nlohmann::json::parse(bytes.substr(8, length)), bytes.substr(8 + length)};
}

// Tensor names to type and shape.
std::map<std::string, std::string> Tensors(const nlohmann::json& header) {
  std::map<std::string, std::string> tensors;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    tensors[name] = entry["dtype"].get<std::string>() + entry["shape"].dump();
  }
  return tensors;
}

void Make(const std::string& out, std::vector<std::string> options = {}) {
  std::vector<std::string> command{kScript, "--config", kTinyConfig, "--out", out};
  command.insert(command.end(), options.begin(), options.end());
  const Finished run = Run(command);
  REQUIRE_MESSAGE(run.status == 0, run.output);
}

uint64_t Mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

constexpr uint64_t kGolden = 0x9E3779B97F4A7C15u;

// Hash of "text_linear.weight": printf NAME | sha256sum, the first 16 digits, bytes reversed. The
// other names are hashed the same way.
constexpr uint64_t kTextLinear = 0x807DEE6CA6FED8FAu;

uint64_t Word(uint64_t seed, uint64_t name_hash, uint64_t index) {
  return Mix((Mix(seed + kGolden) ^ name_hash) + (index + 1) * kGolden);
}

float Uniform(uint64_t seed, uint64_t name_hash, uint64_t element, double deviation) {
  const uint64_t field = (Word(seed, name_hash, element / 4) >> (16 * (element % 4))) & 0xFFFF;
  return (2 * static_cast<float>(field) - 65535) *
         static_cast<float>(deviation * std::sqrt(3.0) / 65536);
}

uint16_t ToBf16(float value) {
  uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof(bits));
  bits += 0x7FFF + ((bits >> 16) & 1);
  return static_cast<uint16_t>(bits >> 16);
}

template <typename T>
T At(const Safetensors& file, const std::string& name, size_t element) {
  const size_t begin = file.header[name]["data_offsets"][0].get<size_t>();
  T value{};
  std::memcpy(&value, file.data.data() + begin + element * sizeof(T), sizeof(T));
  return value;
}

TEST_CASE("the released sizes give exactly the released tensors") {
  CHECK(Run({kScript, "--list", "moshi"}).output ==
        ReadFile(kSource + "/configs/tensors/personaplex-7b.tensors.tsv"));
  CHECK(Run({kScript, "--list", "mimi"}).output ==
        ReadFile(kSource + "/configs/tensors/mimi.tensors.tsv"));
  // Moshi is the same network with half the depth steps.
  const Finished moshi =
      Run({kScript, "--config", kSource + "/configs/moshi-7b.json", "--list", "moshi"});
  CHECK(moshi.output == Run({kScript, "--depth-steps", "8", "--list", "moshi"}).output);
  CHECK(Contains(moshi.output, "depformer.layers.5.self_attn.in_proj_weight\tBF16\t24576x1024\n"));
  CHECK(Contains(moshi.output, "depformer_emb.6.weight\t"));
  CHECK_FALSE(Contains(moshi.output, "depformer_emb.7.weight\t"));
  // A config that says nothing means the released model.
  const TempFolder folder;
  WriteFile(folder / "c.json", "{}");
  CHECK(Run({kScript, "--config", folder / "c.json", "--list", "moshi"}).output ==
        Run({kScript, "--list", "moshi"}).output);
}

TEST_CASE("a made checkpoint has the tensors of the bundled one") {
  const TempFolder folder;
  Make(folder / "out", {"--seed", "3"});
  const Safetensors model = Read(folder / "out/model.safetensors");
  const Safetensors mimi = Read(folder / "out/mimi.safetensors");
  CHECK(Tensors(model.header) == Tensors(Read(kSource + "/configs/tiny/model.safetensors").header));
  CHECK(Tensors(mimi.header) == Tensors(Read(kSource + "/configs/tiny/mimi.safetensors").header));
  CHECK(model.header["__metadata__"]["format"] == "pt");
  CHECK(model.header["__metadata__"]["seed"] == "3");

  // The data is covered exactly, without gaps or overlaps.
  for (const Safetensors* file : {&model, &mimi}) {
    std::map<size_t, size_t> ranges;
    for (const auto& [name, entry] : file->header.items()) {
      if (name == "__metadata__") continue;
      ranges[entry["data_offsets"][0].get<size_t>()] = entry["data_offsets"][1].get<size_t>();
    }
    size_t end = 0;
    for (const auto& [from, to] : ranges) {
      CHECK(from == end);
      end = to;
    }
    CHECK(end == file->data.size());
  }

  const ModelFiles files = LocateModel(Model(folder / "out"));
  CHECK(ReadFile(files.tokenizer) == ReadFile(kSource + "/configs/tiny/tokenizer_spm.model"));
  auto expected = nlohmann::json::parse(ReadFile(kTinyConfig));
  CHECK(nlohmann::json::parse(ReadFile(files.config)) == expected);
}

TEST_CASE("values follow the documented formula") {
  const TempFolder folder;
  const uint64_t seed = 0xFEDCBA9876543210u;
  Make(folder / "out", {"--seed", std::to_string(seed)});
  const Safetensors model = Read(folder / "out/model.safetensors");
  const Safetensors mimi = Read(folder / "out/mimi.safetensors");

  constexpr uint64_t kOutNorm = 0xEBC4FF352871AC3Eu;
  constexpr uint64_t kCodebook = 0x66416EBA68C0A7B3u;
  for (size_t i = 0; i < 256 * 64; ++i) {
    REQUIRE(At<uint16_t>(model, "text_linear.weight", i) ==
            ToBf16(Uniform(seed, kTextLinear, i, 1 / std::sqrt(64.0))));
  }
  for (size_t i = 0; i < 64; ++i) {
    REQUIRE(At<uint16_t>(model, "out_norm.alpha", i) ==
            ToBf16(Uniform(seed, kOutNorm, i, 0.05) + 1));
  }
  const std::string book = "quantizer.rvq_rest.vq.layers.10._codebook.";
  for (size_t i = 0; i < 96 * 16; ++i) {
    const uint64_t word = Word(seed, kCodebook, i);
    int sum = 0;
    for (int j = 0; j < 4; ++j) sum += static_cast<int>((word >> (16 * j)) & 0xFFFF);
    REQUIRE(At<float>(mimi, book + "embedding_sum", i) ==
            static_cast<float>(2 * sum - 4 * 65535) *
                static_cast<float>(0.05 * std::sqrt(3.0) / 131072));
  }
  for (size_t i = 0; i < 96; ++i) CHECK(At<float>(mimi, book + "cluster_usage", i) == 1);
  CHECK(At<float>(mimi, book + "_initialized", 0) == 1);
  CHECK(At<float>(mimi, "encoder.model.0.conv.conv.bias", 3) == 0);
  CHECK(At<float>(mimi, "decoder_transformer.transformer.layers.1.layer_scale_2.scale", 31) ==
        0.01F);
}

TEST_CASE("a file depends on the seed and not on the threads") {
  const TempFolder folder;
  Make(folder / "one", {"--seed", "1", "--jobs", "1"});
  Make(folder / "three", {"--seed", "1", "--jobs", "3"});
  Make(folder / "other", {"--seed", "2"});
  for (const char* name : {"model.safetensors", "mimi.safetensors", "config.json"}) {
    CHECK(ReadFile(folder.path() / "one" / name) == ReadFile(folder.path() / "three" / name));
  }
  CHECK(ReadFile(folder / "one/mimi.safetensors") != ReadFile(folder / "other/mimi.safetensors"));
}

TEST_CASE("chunks of a large tensor join without a seam") {
  // 1000 x 600 elements are more than two chunks of 2^18.
  const TempFolder folder;
  auto config = nlohmann::json::parse(ReadFile(kTinyConfig));
  config["text_card"] = 1000;
  config["dim"] = 600;
  config["num_layers"] = 0;
  WriteFile(folder / "c.json", config.dump());
  Make(folder / "out", {"--config", folder / "c.json", "--dtype", "f32"});
  const Safetensors model = Read(folder / "out/model.safetensors");
  CHECK(model.header["text_linear.weight"]["dtype"] == "F32");
  for (size_t i = 0; i < 1000 * 600; ++i) {
    REQUIRE(At<float>(model, "text_linear.weight", i) ==
            Uniform(0, kTextLinear, i, 1 / std::sqrt(600.0)));
  }
}

TEST_CASE("a file with eight depth steps") {
  const TempFolder folder;
  Make(folder / "out", {"--depth-steps", "8"});
  const auto header = Read(folder / "out/model.safetensors").header;
  CHECK(header["depformer.layers.0.self_attn.in_proj_weight"]["shape"] ==
        nlohmann::json({8 * 96, 32}));
  CHECK(header.contains("depformer.layers.1.gating.7.linear_in.weight"));
  CHECK_FALSE(header.contains("depformer.layers.1.gating.8.linear_in.weight"));
  CHECK(header.contains("depformer_emb.6.weight"));
  CHECK_FALSE(header.contains("depformer_emb.7.weight"));
  CHECK_FALSE(header.contains("depformer_in.8.weight"));
  CHECK_FALSE(header.contains("linears.8.weight"));
  // The config goes on to ask for sixteen.
  CHECK(nlohmann::json::parse(ReadFile(folder / "out/config.json"))["dep_q"] == 16);
}

TEST_CASE("what cannot be made is refused and leaves nothing") {
  const TempFolder folder;
  const auto run = [&](const std::string& config, std::vector<std::string> options = {}) {
    WriteFile(folder / "c.json", config);
    std::vector<std::string> command{kScript, "--config", folder / "c.json", "--out",
                                     folder / "out"};
    command.insert(command.end(), options.begin(), options.end());
    const Finished finished = Run(command);
    CHECK_FALSE(Contains(finished.output, "Traceback"));
    CHECK_FALSE(fs::exists(folder / "out"));
    return finished;
  };
  CHECK(run("{").status == 3);
  CHECK(run("[]").status == 3);
  CHECK(run(R"({"dim": -4})").status == 3);
  CHECK(run(R"({"dim": "many"})").status == 3);
  CHECK(run(R"({"mimi": 3})").status == 3);
  CHECK(run(R"({"mimi": {"seanet": {"ratios": []}}})").status == 3);
  CHECK(run(R"({"mimi": {"seanet": {"dimension": 64}}})").status == 3);
  const Finished frames = run(R"({"mimi": {"frame_rate": 13}})");
  CHECK(frames.status == 3);
  CHECK(Contains(frames.output, "frame_rate"));
  CHECK(run("{}", {"--depth-steps", "17"}).status == 2);
  CHECK(run("{}", {"--depth-steps", "0"}).status == 2);
  CHECK(run("{}", {"--seed", "-1"}).status == 2);
  CHECK(run("{}", {"--seed", "18446744073709551616"}).status == 2);
  CHECK(run("{}", {"--tokenizer", folder / "none"}).status == 3);
  // 2^24 x 2^20 parameters do not fit on any disk.
  const Finished large = run(R"({"text_card": 16777216, "dim": 1048576})");
  CHECK(large.status == 4);
  CHECK(Contains(large.output, "GB needed"));
  CHECK(Run({kScript, "--config", folder / "none.json", "--out", folder / "out"}).status == 3);
  CHECK(Run({kScript}).status == 2);

  fs::create_directory(folder / "there");
  const Finished there = Run({kScript, "--config", kTinyConfig, "--out", folder / "there"});
  CHECK(there.status == 2);
  CHECK(Contains(there.output, "exists already"));
  size_t entries = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(folder.path())) ++entries;
  CHECK(entries == 2);  // c.json and there/
}

}  // namespace
}  // namespace ppx::hub
