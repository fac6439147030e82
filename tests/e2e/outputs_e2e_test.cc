// Every file and stream that a run writes.
#include <fmt/format.h>

#include <filesystem>
#include <sstream>

#include "base/digest.h"
#include "e2e/offline.h"
#include "support/doctest.h"

namespace ppx::test {
namespace {

namespace fs = std::filesystem;

constexpr size_t kFrame = 1920;

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

TEST_CASE("all formats of the transcript") {
  const Folder folder;
  const size_t samples = 40 * kFrame;
  const double duration_s = static_cast<double>(samples) / 24000;
  WriteRecording(folder / "in.wav", Noise(samples));
  const RunResult run =
      Offline(Tiny(folder / "in.wav") +
              Arguments{"--output-wav", folder / "o.wav", "--output-words", folder / "w.json",
                        "--output-srt", folder / "o.srt", "--output-vtt", folder / "o.vtt",
                        "--output-ctm", folder / "o.ctm", "--output-textgrid",
                        folder / "o.TextGrid", "--output-text", folder / "o.json"});
  INFO(Told(run));
  REQUIRE(run.exit_code == 0);

  const auto words = ReadJson(folder / "w.json");
  REQUIRE(words.at("chunks").size() > 3);
  CHECK(words.at("text").is_string());
  double last = 0;
  for (const auto& chunk : words.at("chunks")) {
    CHECK(!chunk.at("text").get<std::string>().empty());
    const double start = chunk.at("timestamp").at(0);
    const double end = chunk.at("timestamp").at(1);
    CHECK(start >= last);
    CHECK(end >= start);
    last = end;
  }
  CHECK(last <= duration_s + 1e-9);

  // As many lines, intervals or words in every format. Pieces of random weights may hold line
  // breaks or spaces, which each format treats in its own way, so only the plain ones are counted.
  const auto ctm = Lines(ReadBytes(folder / "o.ctm"));
  CHECK(ctm.size() == words.at("chunks").size());
  for (const std::string& line : ctm) {
    CAPTURE(line);
    std::istringstream fields(line);
    std::string recording, channel, word, rest;
    double start = -1;
    double duration = -1;
    CHECK(bool(fields >> recording >> channel >> start >> duration >> word));
    CHECK(!(fields >> rest));
    CHECK(recording == "in");
    CHECK(start >= 0);
    CHECK(duration >= 0);
  }

  const auto srt = Lines(ReadBytes(folder / "o.srt"));
  REQUIRE(srt.size() >= 3);
  CHECK(srt[0] == "1");
  CHECK(srt[1].find(" --> ") == 12);
  const auto vtt = Lines(ReadBytes(folder / "o.vtt"));
  REQUIRE(vtt.size() >= 4);
  CHECK(vtt[0] == "WEBVTT");
  CHECK(vtt[1].empty());
  CHECK(vtt[2].find(" --> ") == 12);

  const auto grid = Lines(ReadBytes(folder / "o.TextGrid"));
  REQUIRE(grid.size() > 10);
  CHECK(grid[0] == "File type = \"ooTextFile\"");
  CHECK(grid[1] == "Object class = \"TextGrid\"");
  const std::string end_line = fmt::format("xmax = {}", duration_s);
  CHECK(grid[4] == end_line);

  const auto rows = ReadJson(folder / "o.json");
  REQUIRE(rows.size() == samples / kFrame);
  for (const auto& row : rows) CHECK(row.is_string());

  // The summary names every file.
  for (const char* name : {"o.wav", "w.json", "o.srt", "o.vtt", "o.ctm", "o.TextGrid", "o.json"}) {
    CHECK(run.out.find(folder / name) != std::string::npos);
  }
}

TEST_CASE("one folder for everything, made if need be") {
  const Folder folder;
  WriteRecording(folder / "in.wav", Noise(4000));
  const std::string out = folder / "a/b";
  const RunResult run = Offline(Tiny(folder / "in.wav") +
                                Arguments{"--output-dir", out, "--output-text", folder / "t.json"});
  INFO(Told(run));
  REQUIRE(run.exit_code == 0);
  for (const char* name : {"output.wav", "output.json", "stereo.wav", "run.json"}) {
    CHECK(fs::is_regular_file(out + "/" + name));
  }
  CHECK(fs::is_regular_file(folder / "t.json"));
  CHECK(!fs::exists(out + "/text.json"));
}

TEST_CASE("--json prints the record and nothing else") {
  const Folder folder;
  WriteRecording(folder / "in.wav", Noise(4000));
  const RunResult run = Offline(
      Tiny(folder / "in.wav") +
      Arguments{"--voice-prompt", GoldenFile("voice.pt"), "--sample-format", "float32", "--json",
                "--output-wav", folder / "o.wav", "--output-record", folder / "run.json"});
  INFO(Told(run));
  REQUIRE(run.exit_code == 0);
  CHECK(run.err.empty());
  CHECK(run.out == ReadBytes(folder / "run.json"));
  const auto record = nlohmann::json::parse(run.out);
  CHECK(record.at("record_version") == 1);
  CHECK(record.at("device").at("name") == "cpu");
  CHECK(record.at("output_samples") == 4000);
  CHECK(record.at("sample_rate_hz") == 24000);
  CHECK(record.at("warnings").empty());
  CHECK(record.at("files").at("input_wav").at("sha256") == base::Sha256File(folder / "in.wav"));
  CHECK(record.at("files").at("moshi_weight").at("sha256") ==
        base::Sha256File(TinyFolder() + "/model.safetensors"));
  CHECK(record.at("files").at("voice_prompt").at("path") == GoldenFile("voice.pt"));
  CHECK(record.at("seconds").at("total").get<double>() > 0);
  CHECK(record.at("peak_memory_bytes").get<double>() > 1e6);
}

TEST_CASE("warnings are kept in the record") {
  const Folder folder;
  WriteRecording(folder / "in.wav", Noise(4000));
  const RunResult run =
      Offline(Tiny(folder / "in.wav") +
              Arguments{"--json", "--output-wav", folder / "o.wav", "--sample-format", "float32"});
  INFO(Told(run));
  REQUIRE(run.exit_code == 0);
  CHECK(run.err == "warning: no --voice-prompt: the agent's voice is left to the model\n");
  const auto warnings = nlohmann::json::parse(run.out).at("warnings");
  REQUIRE(warnings.size() == 1);
  CHECK("warning: " + warnings[0].get<std::string>() + "\n" == run.err);
}

TEST_CASE("outputs to standard output and to what links point at") {
  const Folder folder;
  WriteRecording(folder / "in.wav", Noise(4000));
  WriteBytes(folder / "old.wav", "old");
  fs::create_symlink(folder / "old.wav", folder / "link.wav");
  const RunResult run =
      Offline(Tiny(folder / "in.wav") + Arguments{"--output-wav", folder / "link.wav",
                                                  "--output-text", "/dev/stdout", "--quiet"});
  INFO(Told(run));
  REQUIRE(run.exit_code == 0);
  CHECK(nlohmann::json::parse(run.out).size() == 3);
  CHECK(fs::is_symlink(folder / "link.wav"));
  CHECK(ReadSamples(folder / "old.wav").size() == 4000);
}

TEST_CASE("a persona gives role, voice and sampling") {
  const Folder folder;
  WriteRecording(folder / "in.wav", Noise(4000));
  WriteBytes(folder / "p.yaml",
             "text_prompt: You are kind.\nvoice: FLITE0\ntemp_audio: 0.5\ntopk_text: 11\n");
  const RunResult run = Offline(Tiny(folder / "in.wav") +
                                Arguments{"--persona", folder / "p.yaml", "--topk-text", "12",
                                          "--json", "--output-wav", folder / "o.wav"});
  INFO(Told(run));
  REQUIRE(run.exit_code == 0);
  const auto options = nlohmann::json::parse(run.out).at("options");
  CHECK(options.at("text-prompt") == "You are kind.");
  CHECK(options.at("voice-prompt") == PPX_SOURCE_DIR "/voices/FLITE0.wav");
  CHECK(options.at("temp-audio") == 0.5);
  CHECK(options.at("topk-text") == 12);
}

}  // namespace
}  // namespace ppx::test
