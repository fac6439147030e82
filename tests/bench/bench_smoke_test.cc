// ppx-bench on the bundled checkpoint: the shape of its results and what can be known of them
// beforehand. Never a time.
#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "e2e/files.h"
#include "support/doctest.h"
#include "weights/dtype.h"
#include "weights/safetensors.h"

namespace ppx::test {
namespace {

using nlohmann::json;

const std::string kTiny = PPX_SOURCE_DIR "/configs/tiny";
const std::vector<std::string> kStageNames{"codec_encode",      "temporal_transformer",
                                           "text_logits",       "depth_transformer",
                                           "sampling_and_rest", "codec_decode"};

RunResult Bench(const Arguments& arguments, RunOptions options = {}) {
  return RunProgram(Arguments{PPX_BENCH} + arguments, CleanEnvironment(std::move(options)));
}

// A run that takes no time.
Arguments Small(const Folder& folder) {
  return {"--slots",       "1,2",
          "--frames",      "2",
          "--warm-up",     "1",
          "--prompt",      "6",
          "--piece",       "2",
          "--matrix-size", "32",
          "--buffer-mib",  "1",
          "--json",        folder / "bench.json",
          "--markdown",    folder / "bench.md"};
}

bool EndsWith(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

bool BeginsWith(const std::string& text, const std::string& begin) {
  return text.rfind(begin, 0) == 0;
}

// Numbers in the tensors of a file that `wanted` takes, each times what it returns.
double CountNumbers(const std::string& path,
                    const std::function<double(const std::string& name)>& wanted) {
  const auto file = weights::SafetensorsFile::Open(path);
  double count = 0;
  for (const auto& [name, view] : file->tensors()) {
    const double share = wanted(name);
    count += share * static_cast<double>(view.data.size() / weights::SizeOf(view.dtype));
  }
  return count;
}

bool IsMatrix(const std::string& name) {
  return EndsWith(name, "weight") && name.find("norm") == std::string::npos;
}

// Levels 1 to 7 of the acoustic codebooks, and the semantic one, are read.
double CodebookShare(const std::string& name) {
  if (!EndsWith(name, "embedding_sum")) return 0;
  if (BeginsWith(name, "quantizer.rvq_first.vq.layers.0.")) return 1;
  for (int level = 0; level < 7; ++level) {
    if (BeginsWith(name, "quantizer.rvq_rest.vq.layers." + std::to_string(level) + ".")) return 1;
  }
  return 0;
}

void CheckPositive(const json& value) {
  REQUIRE(value.is_number());
  CHECK(std::isfinite(value.get<double>()));
  CHECK(value.get<double>() > 0);
}

TEST_CASE("results have their shape, and count what the checkpoint holds") {
  const Folder folder;
  const RunResult run = Bench(Small(folder) + Arguments{"--context-fill", "9", "--dtype", "bf16"});
  INFO(Told(run));
  REQUIRE(run.exit_code == 0);
  const json result = ReadJson(folder / "bench.json");

  CHECK(result.at("bench_version") == 2);
  for (const char* name : {"program", "version", "commit", "date"}) {
    CHECK(result.at(name).is_string());
  }
  CHECK(result.at("command").size() > 10);
  for (const char* name : {"compiler", "type", "flags"}) {
    CHECK(result.at("build").at(name).is_string());
  }
  CHECK(result.at("libtorch").at("version").is_string());
  CHECK(result.at("machine").at("cpu").get<std::string>() != "");
  CheckPositive(result.at("machine").at("cores"));
  CheckPositive(result.at("machine").at("memory_bytes"));
  CHECK(result.at("machine").at("cpu_flags").is_array());
  CHECK(result.at("threads") == 1);  // the checkpoint is small
  CHECK(result.at("model").at("dtype") == "bf16");
  CHECK(result.at("options").at("context_fill") == 9);

  for (const char* name : {"min", "median", "max"}) {
    CheckPositive(result.at("rates").at("bandwidth_gb_s").at(name));
  }
  CheckPositive(result.at("rates").at("matrix_gflop_s").at("f32"));
  CheckPositive(result.at("rates").at("matrix_gflop_s").at("bf16"));
  const json& linear = result.at("rates").at("linear");
  REQUIRE(linear.at("rows").size() == 2);
  CHECK(linear.at("rows")[1].at("rows") == 2);
  CheckPositive(linear.at("rows")[1].at("gb_per_s"));
  CheckPositive(linear.at("rows")[1].at("libtorch_ms"));
  CHECK(linear.at("weights") == "bf16");
  CHECK_FALSE(result.contains("quantisation"));
  CheckPositive(result.at("prefill").at("times_faster_than_steps"));
  CheckPositive(result.at("load_s"));
  CheckPositive(result.at("prefill").at("ms"));
  CheckPositive(result.at("prefill").at("ratio_to_floor"));
  CHECK(result.at("prefill").at("steps") == 6);
  CheckPositive(result.at("codec_pieces").at("encode_ms_per_frame"));
  CheckPositive(result.at("codec_pieces").at("decode_ms_per_frame"));
  CheckPositive(result.at("peak_memory_bytes"));

  const json& runs = result.at("runs");
  REQUIRE(runs.size() == 2);
  for (const json& one : runs) {
    for (const char* name : {"frames_per_s", "ratio_to_first", "real_time_streams", "stages_ms",
                             "floor_ms", "ratio_to_floor"}) {
      CAPTURE(name);
      CheckPositive(one.at(name));
    }
    CHECK(one.at("step_ms").at("min") <= one.at("step_ms").at("median"));
    CHECK(one.at("step_ms").at("median") <= one.at("step_ms").at("max"));
    CHECK(one.at("bandwidth_gb_s").size() == 2);
    CHECK(one.at("major_faults").is_number_integer());
    // 9 filled, 2 of warm-up, and the middle of the 4 that were measured.
    CHECK(one.at("positions").at("lm") == 13);
    CHECK(one.at("positions").at("codec") == 26);
    std::vector<std::string> names;
    double total_ms = 0;
    for (const auto& [name, stage] : one.at("stages").items()) {
      names.push_back(name);
      CHECK(stage.at("ms").get<double>() >= 0);
      total_ms += stage.at("ms").get<double>();
      if (name == "sampling_and_rest") {
        CHECK(stage.at("ratio_to_floor").is_null());
      } else {
        CheckPositive(stage.at("floor_ms"));
        CheckPositive(stage.at("flops"));
      }
    }
    std::sort(names.begin(), names.end());
    std::vector<std::string> expected = kStageNames;
    std::sort(expected.begin(), expected.end());
    CHECK(names == expected);
    CHECK(one.at("stages_ms").get<double>() == doctest::Approx(total_ms));
  }
  CHECK(runs[0].at("slots") == 1);
  CHECK(runs[0].at("ratio_to_first") == 1);
  CHECK(runs[1].at("slots") == 2);

  // Weights are read once for all rows; what is computed and looked back at is for each.
  const auto at = [&](size_t run_index, const std::string& stage, const char* field) {
    return runs[run_index].at("stages").at(stage).at(field).get<double>();
  };
  for (const std::string stage : {"codec_encode", "text_logits", "depth_transformer"}) {
    CHECK(at(1, stage, "weight_bytes") == at(0, stage, "weight_bytes"));
  }
  for (const std::string& stage : kStageNames) {
    CHECK(at(1, stage, "flops") == 2 * at(0, stage, "flops"));
    CHECK(at(1, stage, "state_bytes") == 2 * at(0, stage, "state_bytes"));
  }

  // The weights that the stages touch are those of the files.
  const std::string lm = kTiny + "/model.safetensors";
  const std::string mimi = kTiny + "/mimi.safetensors";
  constexpr double kLookedUp = 17 * 64;  // rows of embeddings
  CHECK(at(0, "temporal_transformer", "weight_bytes") / 2 ==
        kLookedUp + CountNumbers(lm, [](const std::string& name) {
          return BeginsWith(name, "transformer.") && name.find("norm") == std::string::npos ? 1 : 0;
        }));
  CHECK(at(0, "text_logits", "weight_bytes") / 2 ==
        CountNumbers(lm, [](const std::string& name) { return name == "text_linear.weight"; }));
  // Of the steps that the file has, the first 8 are run.
  double steps = 0;
  CountNumbers(lm, [&](const std::string& name) {
    steps += BeginsWith(name, "linears.") ? 1 : 0;
    return 0;
  });
  REQUIRE(steps >= 8);
  CHECK(at(0, "depth_transformer", "weight_bytes") / 2 ==
        CountNumbers(lm, [&](const std::string& name) {
          const bool layer =
              BeginsWith(name, "depformer.") && name.find("norm") == std::string::npos;
          const bool ends = BeginsWith(name, "depformer_in.") || BeginsWith(name, "linears.");
          return layer || ends ? 8 / steps : 0;
        }));
  CHECK(at(0, "codec_encode", "weight_bytes") / 4 ==
        CountNumbers(mimi, [](const std::string& name) {
          if (BeginsWith(name, "quantizer.")) {
            return EndsWith(name, "input_proj.weight") ? 1 : CodebookShare(name);
          }
          const bool part = BeginsWith(name, "encoder") || BeginsWith(name, "downsample");
          return part && IsMatrix(name) ? 1.0 : 0.0;
        }));
  constexpr double kEntries = 8 * 16;  // one row of each codebook
  CHECK(at(0, "codec_decode", "weight_bytes") / 4 ==
        kEntries + CountNumbers(mimi, [](const std::string& name) {
          if (EndsWith(name, "output_proj.weight") && BeginsWith(name, "quantizer.")) return 1;
          const bool part = BeginsWith(name, "decoder") || BeginsWith(name, "upsample");
          return part && IsMatrix(name) ? 1 : 0;
        }));

  const std::string page = ReadBytes(folder / "bench.md");
  CHECK(page == run.out);
  for (const std::string& stage : kStageNames) CHECK(page.find(stage) != std::string::npos);
}

TEST_CASE("quantised weights: what they cost, and floors of their size") {
  const Folder folder;
  const Arguments small = Small(folder);
  const RunResult plain = Bench(small + Arguments{"--dtype", "bf16"});
  REQUIRE(plain.exit_code == 0);
  const json wide = ReadJson(folder / "bench.json");
  RunOptions options;
  options.environment = {{"PPX_CACHE", folder / "cache"}};
  const RunResult run = Bench(small + Arguments{"--quantize", "int4"}, options);
  INFO(Told(run));
  REQUIRE(run.exit_code == 0);
  const json result = ReadJson(folder / "bench.json");
  CHECK(result.at("model").at("weights") == "int4");
  CHECK(result.at("model").at("dtype") == "bf16");
  CheckPositive(result.at("quantisation").at("text_logit_cosine"));
  CheckPositive(result.at("quantisation").at("positions"));
  const auto bytes = [](const json& bench) {
    return bench.at("runs")[0]
        .at("stages")
        .at("depth_transformer")
        .at("weight_bytes")
        .get<double>();
  };
  CHECK(bytes(result) == doctest::Approx(bytes(wide) * 4.5 / 16));
}

TEST_CASE("a ring that is already full, and hardly filled ones") {
  for (const std::string fill : {"0", "5000"}) {
    CAPTURE(fill);
    const Folder folder;
    const RunResult run = Bench(Small(folder) + Arguments{"--context-fill", fill, "--quiet"});
    INFO(Told(run));
    REQUIRE(run.exit_code == 0);
    CHECK(run.out.empty());
    const json result = ReadJson(folder / "bench.json");
    // The delays between the streams have to pass; the window ends it.
    CHECK(result.at("options").at("context_fill") == (fill == "0" ? 3 : 100));
    CHECK(result.at("runs")[0].at("positions").at("lm") == (fill == "0" ? 7 : 100));
    CHECK(result.at("runs")[0].at("positions").at("codec") == (fill == "0" ? 14 : 40));
  }
}

TEST_CASE("refusals come before the work") {
  const Folder folder;
  const auto exit_code = [&](const Arguments& arguments) {
    const RunResult run = Bench(arguments);
    INFO(Told(run));
    CHECK(run.err.rfind("ppx-bench: ", 0) == 0);
    CHECK(run.out.empty());
    return run.exit_code;
  };
  CHECK(exit_code({"--slots", "0"}) == 2);
  CHECK(exit_code({"--slots", "1,x"}) == 2);
  CHECK(exit_code({"--frames", "0"}) == 2);
  CHECK(exit_code({"--dtype", "int3"}) == 2);
  CHECK(exit_code({"--device", "abacus"}) == 2);
  CHECK(exit_code({"--json", folder / "missing" + "/bench.json"}) == 2);
  CHECK(exit_code({"--model", folder / "missing"}) == 3);
}

}  // namespace
}  // namespace ppx::test
