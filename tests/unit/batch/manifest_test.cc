#include "batch/manifest.h"

#include <string>
#include <utility>
#include <vector>

#include "support/doctest.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace ppx::batch {
namespace {

using testing::ErrorOf;
using testing::TempDir;

std::string ErrorIn(const std::string& text) {
  const ParsedManifest manifest = ParseManifest(text, "in/jobs.jsonl");
  return manifest.errors.empty() ? "" : manifest.errors.front();
}

TEST_CASE("a line with every key") {
  const ParsedManifest manifest = ParseManifest(
      R"({"id": "a/b", "audio": "x/in.wav", "channel": 1, "persona": "bank", "text_prompt": "Hi",
"voice_prompt": "NATF2.pt", "seed": 9223372036854775807, "greedy": false, "temp_audio": 0.5,
"temp_text": 100, "topk_audio": 0, "topk_text": 2147483647, "lead_in": 1, "tail": 3600})",
      "jobs.jsonl");
  // One object a line: this one is broken up.
  CHECK(manifest.requests.empty());
  REQUIRE(manifest.errors.size() == 3);

  const ParsedManifest parsed = ParseManifest(
      R"({"id": "a/b", "audio": "x/in.wav", "channel": 1, "persona": "bank", "text_prompt": "Hi", )"
      R"("voice_prompt": "NATF2.pt", "seed": 9223372036854775807, "greedy": false, )"
      R"("temp_audio": 0.5, "temp_text": 100, "topk_audio": 0, "topk_text": 2147483647, )"
      R"("lead_in": 1, "tail": 3600})",
      "in/jobs.jsonl");
  REQUIRE(parsed.errors.empty());
  REQUIRE(parsed.requests.size() == 1);
  const DialogueRequest& request = parsed.requests[0];
  CHECK(request.id == "a/b");
  CHECK(request.where == "in/jobs.jsonl:1");
  CHECK(request.audio == "in/x/in.wav");
  CHECK_FALSE(request.script);
  CHECK(request.channel == 1);
  CHECK(request.persona == "bank");
  CHECK(request.text_prompt == "Hi");
  CHECK(request.voice_prompt == "NATF2.pt");
  CHECK(request.seed == INT64_MAX);
  CHECK(request.greedy == false);
  CHECK(request.temp_audio == 0.5);
  CHECK(request.temp_text == 100);
  CHECK(request.topk_audio == 0);
  CHECK(request.topk_text == INT32_MAX);
  CHECK(request.lead_in_s == 1);
  CHECK(request.tail_s == 3600);
}

TEST_CASE("what is not said has no value; blank lines, byte order mark, CRLF, no last newline") {
  const ParsedManifest parsed = ParseManifest(
      "\xef\xbb\xbf{\"id\":\"a\",\"audio\":\"/abs/in.wav\"}\r\n\n  "
      "\t\r\n{\"id\":\"b\",\"script\":\"s.yaml\"}",
      "jobs.jsonl");
  REQUIRE(parsed.errors.empty());
  REQUIRE(parsed.requests.size() == 2);
  CHECK(parsed.requests[0].audio == "/abs/in.wav");
  CHECK(parsed.requests[1].script == "s.yaml");
  CHECK(parsed.requests[1].where == "jobs.jsonl:4");
  for (const DialogueRequest& request : parsed.requests) {
    CHECK_FALSE(request.channel);
    CHECK_FALSE(request.persona);
    CHECK_FALSE(request.text_prompt);
    CHECK_FALSE(request.voice_prompt);
    CHECK_FALSE(request.seed);
    CHECK_FALSE(request.greedy);
    CHECK_FALSE(request.temp_audio);
    CHECK_FALSE(request.temp_text);
    CHECK_FALSE(request.topk_audio);
    CHECK_FALSE(request.topk_text);
    CHECK_FALSE(request.lead_in_s);
    CHECK_FALSE(request.tail_s);
  }
}

TEST_CASE("a slip of the pen is an error with its line and what was expected") {
  const auto with = [](const std::string& more) {
    return "\n{\"id\": \"a\", \"audio\": \"x\", " + more + "}\n";
  };
  const std::vector<std::pair<std::string, std::vector<std::string>>> cases = {
      {"{\"id\": \"a\"", {"jobs.jsonl:1", "not valid JSON", "one object a line"}},
      {"[1]", {"jobs.jsonl:1", "a list", "one JSON object"}},
      {"17", {"17", "one JSON object"}},
      {"{}", {"no id", "folder"}},
      {"{\"id\": \"a\"}", {"neither audio nor script"}},
      {with("\"script\": \"y\""), {"jobs.jsonl:2", "both audio and script"}},
      {with("\"context\": 100"), {"unknown key \"context\"", "expected one of", "topk_audio"}},
      {with("\"seed\": 1, \"seed\": 2"), {"jobs.jsonl:2", "\"seed\" is given twice"}},
      {with("\"seed\": -1"), {"seed is -1", "0 to 9223372036854775807"}},
      {with("\"seed\": 1.0"), {"seed is 1.0", "whole number"}},
      {with("\"seed\": 9223372036854775808"), {"seed is 9223372036854775808"}},
      {with("\"seed\": 1e999"), {"too large"}},
      {with("\"seed\": \"1\""), {"seed is \"1\"", "whole number"}},
      {with("\"channel\": -1"), {"channel is -1"}},
      {with("\"channel\": 2147483648"), {"channel is 2147483648", "2147483647"}},
      {with("\"topk_text\": 0.5"), {"topk_text is 0.5"}},
      {with("\"temp_audio\": 100.5"), {"temp_audio is 100.5", "0 (greedy) to 100"}},
      {with("\"temp_text\": -0.1"), {"temp_text is -0.1"}},
      {with("\"temp_text\": true"), {"temp_text is true", "a number"}},
      {with("\"lead_in\": 3601"), {"lead_in is 3601", "0 to 3600 seconds"}},
      {with("\"tail\": -1"), {"tail is -1", "seconds"}},
      {with("\"greedy\": 1"), {"greedy is 1", "true or false"}},
      {with("\"persona\": \"\""), {"persona is empty"}},
      {with("\"persona\": null"), {"persona is null", "a text"}},
      {with("\"text_prompt\": [\"x\"]"), {"text_prompt is a list", "a text"}},
      {with("\"text_prompt\": \"a\\u0000b\""), {"NUL"}},
      {"{\"id\": \"a\", \"audio\": \"\"}", {"audio is empty"}},
      {"{\"id\": \"a\", \"audio\": \"\xff\"}", {"not valid JSON"}},
  };
  for (const auto& [text, parts] : cases) {
    const std::string error = ErrorIn(text);
    INFO(text);
    INFO(error);
    for (const std::string& part : parts) CHECK(error.find(part) != std::string::npos);
    CHECK(error.starts_with("in/jobs.jsonl:"));
  }
}

TEST_CASE("an id is a folder inside the output folder") {
  for (const char* const good :
       {"a", "a/b", "candor_turn_taking/17", "a b", "caf\u00e9", "a.b", "a..", "-"}) {
    INFO(good);
    CHECK_FALSE(WrongWithId(good));
  }
  const std::string long_name(256, 'x');
  std::string deep = "x";
  for (int i = 0; i < 600; ++i) deep += "/x";
  for (const std::string& bad :
       {std::string(), std::string("/a"), std::string("a/"), std::string("a//b"), std::string(".."),
        std::string("a/../b"), std::string("."), std::string(".hidden"), std::string("a/.hidden"),
        std::string("a\nb"), std::string("a\x7f"), std::string("a\0b", 3), long_name, deep}) {
    INFO(bad);
    CHECK(WrongWithId(bad));
  }
  CHECK_FALSE(WrongWithId(std::string(255, 'x')));
  CHECK(ErrorIn(R"({"id": "a/../b", "audio": "x"})").find("begins with a dot") !=
        std::string::npos);
}

TEST_CASE("an id given twice names the first line") {
  const ParsedManifest parsed = ParseManifest(
      "{\"id\":\"a\",\"audio\":\"x\"}\n\n{\"id\":\"b\",\"audio\":\"x\"}\n{\"id\":\"a\",\"audio\":"
      "\"y\"}\n",
      "jobs.jsonl");
  CHECK(parsed.requests.size() == 2);
  REQUIRE(parsed.errors.size() == 1);
  CHECK(parsed.errors[0].find("jobs.jsonl:4") == 0);
  CHECK(parsed.errors[0].find("line 1") != std::string::npos);
}

TEST_CASE("files: the first error and the number of others") {
  const TempDir dir;
  const std::string path = dir.File("jobs.jsonl");
  testing::WriteFile(path, "{\"id\":\"a\",\"audio\":\"x.wav\"}\n");
  const auto requests = ReadManifest(path);
  REQUIRE(requests.size() == 1);
  CHECK(requests[0].audio == dir.File("x.wav"));

  const auto message_of = [&](const std::string& text) {
    testing::WriteFile(path, text);
    const auto thrown = ErrorOf([&] { ReadManifest(path); });
    CHECK(thrown.code == base::ErrorCode::kBadInput);
    return thrown.message;
  };
  CHECK(message_of("{}\n").find("more error") == std::string::npos);
  CHECK(message_of("{}\n{}\n").find("(and 1 more error)") != std::string::npos);
  std::string many;
  for (int i = 0; i < 100; ++i) many += "{}\n";
  CHECK(message_of(many).find("(and 19 or more errors)") != std::string::npos);
  CHECK(message_of("\n \n").find("no dialogue") != std::string::npos);
  CHECK(message_of("").find("empty") != std::string::npos);
  CHECK(ErrorOf([&] { ReadManifest(dir.File("none")); }).code == base::ErrorCode::kBadInput);
}

TEST_CASE("damaged manifests never do worse than an error") {
  const std::string whole =
      "{\"id\":\"a\",\"audio\":\"x\",\"seed\":1}\n{\"id\":\"b\",\"script\":\"y\",\"tail\":2.5}\n";
  for (size_t length = 0; length <= whole.size(); ++length) {
    const ParsedManifest parsed = ParseManifest(std::string_view(whole).substr(0, length), "j");
    CHECK(parsed.requests.size() + parsed.errors.size() <= 2);
  }
  for (size_t i = 0; i < whole.size(); ++i) {
    for (const int bit : {1, 8, 32, 128}) {
      std::string flipped = whole;
      flipped[i] = static_cast<char>(flipped[i] ^ bit);
      ParseManifest(flipped, "j");
    }
  }
  std::string nested = "{\"id\": ";
  nested.append(100'000, '[');
  CHECK(ParseManifest(nested, "j").errors.size() == 1);
}

}  // namespace
}  // namespace ppx::batch
