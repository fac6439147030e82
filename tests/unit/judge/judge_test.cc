#include "judge/judge.h"

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "support/doctest.h"
#include "support/expect_error.h"
#include "support/fake_chat_server.h"
#include "support/temp_dir.h"
#include "unit/judge/small_specs.h"
#include "unit/judge/virtual_clock.h"

namespace ppx::judge {
namespace {

using httplib::Request;
using httplib::Response;
using testing::Answer;
using testing::Cut;
using testing::ErrorOf;
using testing::Fail;
using testing::FakeServer;
using testing::TempDir;
using testing::UserPrompt;
using testing::VirtualClock;

std::string Mark(int mark) { return "{\"politeness\": " + std::to_string(mark) + "}"; }

// The judge `politeness`, or another, at `server`; waits take no time.
struct Bench {
  explicit Bench(const FakeServer& server, const std::string& yaml = testing::kScoreYaml,
                 const std::string& cache_folder = "", ChatOptions options = {},
                 JudgeOptions judge_options = {}) {
    options.base_url = server.base_url();
    options.clock = &clock;
    client = std::make_unique<ChatClient>(options);
    if (!cache_folder.empty()) cache = std::make_unique<VerdictCache>(cache_folder);
    judge = std::make_unique<Judge>(ParseJudgeSpec(yaml, "j.yaml"), *client, cache.get(),
                                    judge_options);
  }
  Verdict AskOne(const std::string& reply = "Hello") {
    const std::vector<Question> questions = {{{{"reply", reply}}}};
    return judge->Ask(questions).at(0);
  }

  VirtualClock clock;
  std::unique_ptr<ChatClient> client;
  std::unique_ptr<VerdictCache> cache;
  std::unique_ptr<Judge> judge;
};

// Marks with the number that the reply ends with.
void MarkByNumber(const Request& request, Response& response, int /*number*/) {
  const std::string prompt = UserPrompt(request);
  Answer(response, Mark(std::stoi(prompt.substr(prompt.find_last_of(' ')))));
}

std::vector<Question> Numbered(int count) {
  std::vector<Question> questions;
  for (int i = 0; i < count; ++i) {
    questions.push_back(
        {{{"reply", "reply of " + std::to_string(i) + " is " + std::to_string(i % 6)}}});
  }
  return questions;
}

class CountingProgress final : public base::Progress {
 public:
  void Begin(std::string_view stage, int64_t total_units) override {
    name = stage;
    total = total_units;
  }
  void Update(int64_t done_units) override { done = done_units; }
  void End() override { ended = true; }

  std::string name;
  int64_t total = -1;
  int64_t done = -1;
  bool ended = false;
};

TEST_CASE("one question: what is sent, and its verdict") {
  FakeServer server([](const Request&, Response& response, int) {
    Answer(response, "Here: {\"politeness\": 4, \"reason\": \"kind\"}");
  });
  Bench bench(server);
  const Verdict verdict = bench.AskOne("Hello {there}");
  CHECK(verdict.status == VerdictStatus::kOk);
  CHECK(verdict.scores == std::map<std::string, int>{{"politeness", 4}});
  CHECK(verdict.label.empty());
  CHECK(verdict.raw_answer == "Here: {\"politeness\": 4, \"reason\": \"kind\"}");
  CHECK(verdict.reason.empty());
  CHECK(verdict.tokens_in == 100);
  CHECK(verdict.tokens_out == 20);
  CHECK_FALSE(verdict.from_cache);
  const auto sent = nlohmann::json::parse(server.seen().at(0).body);
  CHECK(sent["model"] == "some-model");
  CHECK(sent["temperature"] == 0);
  CHECK(sent["max_tokens"] == 50);
  CHECK(sent["messages"][0]["content"] == "Mark it. Answer {\"politeness\": 0 to 5}\n");
  CHECK(sent["messages"][1]["content"] == "Reply: Hello {there}\n");

  JudgeOptions options;
  options.model = "other-model";
  Bench other(server, testing::kScoreYaml, "", {}, options);
  CHECK(other.judge->model() == "other-model");
  other.AskOne();
  CHECK(nlohmann::json::parse(server.seen().at(1).body)["model"] == "other-model");
}

TEST_CASE("a label") {
  FakeServer server(
      [](const Request&, Response& response, int) { Answer(response, "{\"choice\": \"WAIT\"}"); });
  Bench bench(server, testing::kLabelYaml);
  const std::vector<Question> questions = {{{{"text", "x"}}}};
  const Verdict verdict = bench.judge->Ask(questions).at(0);
  CHECK(verdict.status == VerdictStatus::kOk);
  CHECK(verdict.label == "WAIT");
  CHECK(verdict.scores.empty());
}

TEST_CASE("verdicts come in the order of the questions, a few asked at once") {
  FakeServer server([](const Request& request, Response& response, int number) {
    std::this_thread::sleep_for(std::chrono::milliseconds(number % 3 == 0 ? 25 : 5));
    MarkByNumber(request, response, number);
  });
  ChatOptions options;
  options.max_concurrent = 3;
  CountingProgress progress;
  JudgeOptions judge_options;
  judge_options.progress = &progress;
  Bench bench(server, testing::kScoreYaml, "", options, judge_options);
  const std::vector<Verdict> verdicts = bench.judge->Ask(Numbered(20));
  REQUIRE(verdicts.size() == 20);
  for (int i = 0; i < 20; ++i) {
    CHECK(verdicts[static_cast<size_t>(i)].scores.at("politeness") == i % 6);
  }
  CHECK(server.most_at_once() <= 3);
  CHECK(server.most_at_once() >= 2);
  CHECK(progress.name == "judge politeness");
  CHECK(progress.total == 20);
  CHECK(progress.done == 20);
  CHECK(progress.ended);
  CHECK(bench.judge->Ask({}).empty());
}

TEST_CASE("a rerun asks nothing, controls included, and gives the same") {
  const TempDir dir;
  FakeServer server([](const Request& request, Response& response, int number) {
    const std::string prompt = UserPrompt(request);
    if (prompt.find("Thank you") != std::string::npos) return Answer(response, Mark(5));
    if (prompt.find("Get lost") != std::string::npos) return Answer(response, Mark(0));
    if (prompt.find("of 3") != std::string::npos) return Answer(response, "no idea");
    MarkByNumber(request, response, number);
  });
  ChatOptions options;
  options.prices = Prices{1, 2};
  Bench first(server, testing::kScoreYaml, dir.File("cache"), options);
  first.judge->CheckControls();
  const auto before = first.judge->Ask(Numbered(5));
  const int asked = server.count();
  CHECK(asked == 2 + 4 + 3);
  CHECK(first.judge->statistics().asked == 7);
  CHECK(first.judge->statistics().cost == doctest::Approx((900 + 2 * 180) / 1e6));

  Bench second(server, testing::kScoreYaml, dir.File("cache"), options);
  second.judge->CheckControls();
  const auto after = second.judge->Ask(Numbered(5));
  CHECK(server.count() == asked);
  for (size_t i = 0; i < 5; ++i) {
    CHECK(after[i].from_cache);
    CHECK(after[i].status == before[i].status);
    CHECK(after[i].scores == before[i].scores);
    CHECK(after[i].raw_answer == before[i].raw_answer);
    CHECK(after[i].reason == before[i].reason);
    CHECK(after[i].tokens_in == before[i].tokens_in);
  }
  CHECK(after[3].status == VerdictStatus::kUnparsable);
  CHECK(second.judge->statistics().questions == 7);
  CHECK(second.judge->statistics().cached == 7);
  CHECK(second.judge->statistics().asked == 0);
  CHECK(second.judge->statistics().tokens_in == 0);
  CHECK(second.judge->statistics().cost == 0);

  SUBCASE("another version of the judge is asked anew") {
    std::string newer = testing::kScoreYaml;
    newer.replace(newer.find("version: 3"), 10, "version: 4");
    Bench third(server, newer, dir.File("cache"));
    third.judge->Ask(Numbered(1));
    CHECK(server.count() == asked + 1);
  }
  SUBCASE("another model is asked anew") {
    JudgeOptions judge_options;
    judge_options.model = "other";
    Bench third(server, testing::kScoreYaml, dir.File("cache"), {}, judge_options);
    third.judge->Ask(Numbered(1));
    CHECK(server.count() == asked + 1);
  }
  SUBCASE("another address of the same model is not") {
    FakeServer moved([](const Request&, Response& response, int) { Fail(response, 500, "x"); });
    Bench third(moved, testing::kScoreYaml, dir.File("cache"));
    CHECK(third.judge->Ask(Numbered(1)).at(0).status == VerdictStatus::kOk);
    CHECK(moved.count() == 0);
  }
  SUBCASE("damaged files are asked again and mended") {
    for (const auto& entry : std::filesystem::directory_iterator(dir.File("cache"))) {
      testing::WriteFile(entry.path().string(), "{");
    }
    Bench third(server, testing::kScoreYaml, dir.File("cache"));
    CHECK(third.judge->Ask(Numbered(1)).at(0).scores.at("politeness") == 0);
    CHECK(server.count() == asked + 1);
    third.judge->Ask(Numbered(1));
    CHECK(server.count() == asked + 1);
  }
}

TEST_CASE("equal questions are asked once") {
  FakeServer server([](const Request&, Response& response, int) { Answer(response, Mark(2)); });
  Bench bench(server);
  const Question question = {{{"reply", "same"}}};
  const std::vector<Question> questions(5, question);
  const auto verdicts = bench.judge->Ask(questions);
  CHECK(server.count() == 1);
  for (const Verdict& verdict : verdicts) CHECK(verdict.scores.at("politeness") == 2);
  CHECK_FALSE(verdicts[0].from_cache);
  CHECK(verdicts[4].from_cache);
  CHECK(bench.judge->statistics().asked == 1);
  CHECK(bench.judge->statistics().cached == 4);
}

TEST_CASE("answers of no use are asked for again, so often and no more") {
  SUBCASE("out of range twice, then good") {
    FakeServer server([](const Request&, Response& response, int number) {
      Answer(response, number < 2 ? Mark(9) : Mark(1));
    });
    Bench bench(server);
    const Verdict verdict = bench.AskOne();
    CHECK(verdict.status == VerdictStatus::kOk);
    CHECK(verdict.scores.at("politeness") == 1);
    CHECK(verdict.tokens_in == 300);
    CHECK(bench.judge->statistics().requests == 3);
    CHECK(bench.judge->statistics().retried == 2);
    CHECK(bench.judge->statistics().tokens_out == 60);
  }
  SUBCASE("never good") {
    FakeServer server(
        [](const Request&, Response& response, int) { Answer(response, "Four, I'd say."); });
    Bench bench(server);
    const Verdict verdict = bench.AskOne();
    CHECK(verdict.status == VerdictStatus::kUnparsable);
    CHECK(verdict.raw_answer == "Four, I'd say.");
    CHECK(verdict.reason.find("Four, I'd say.") != std::string::npos);
    CHECK(server.count() == 3);
    CHECK(bench.judge->statistics().unparsable == 1);
  }
  SUBCASE("cut by max_tokens, no retries, usage unknown") {
    FakeServer server([](const Request&, Response& response, int) {
      response.set_content(
          R"({"choices": [{"message": {"content": "{\"polite"}, "finish_reason": "length"}]})",
          "application/json");
    });
    JudgeOptions options;
    options.unparsable_retries = 0;
    Bench bench(server, testing::kScoreYaml, "", {}, options);
    const Verdict verdict = bench.AskOne();
    CHECK(verdict.status == VerdictStatus::kUnparsable);
    CHECK(verdict.reason.find("max_tokens, 50") != std::string::npos);
    CHECK(server.count() == 1);
    CHECK(bench.judge->statistics().without_usage == 1);
  }
}

TEST_CASE("one bad question among many is a verdict with a reason; failures are not kept") {
  const TempDir dir;
  std::atomic<bool> broken{true};
  FakeServer server([&](const Request& request, Response& response, int number) {
    const std::string prompt = UserPrompt(request);
    if (broken && prompt.find("of 1 ") != std::string::npos) return Fail(response, 500, "oops");
    if (broken && prompt.find("of 2 ") != std::string::npos) return Cut(response);
    if (broken && prompt.find("of 3 ") != std::string::npos) return Fail(response, 400, "too long");
    MarkByNumber(request, response, number);
  });
  Bench bench(server, testing::kScoreYaml, dir.path());
  std::vector<Question> questions = Numbered(6);
  questions[4].values.clear();
  auto verdicts = bench.judge->Ask(questions);
  CHECK(verdicts[0].status == VerdictStatus::kOk);
  CHECK(verdicts[1].status == VerdictStatus::kFailed);
  CHECK(verdicts[1].reason.find("oops") != std::string::npos);
  CHECK(verdicts[2].status == VerdictStatus::kFailed);
  CHECK(verdicts[3].status == VerdictStatus::kFailed);
  CHECK(verdicts[3].reason.find("too long") != std::string::npos);
  CHECK(verdicts[4].status == VerdictStatus::kFailed);
  CHECK(verdicts[4].reason.find("{reply}") != std::string::npos);
  CHECK(verdicts[5].status == VerdictStatus::kOk);
  const JudgeStatistics& statistics = bench.judge->statistics();
  CHECK(statistics.questions == 6);
  CHECK(statistics.asked == 5);
  CHECK(statistics.ok == 2);
  CHECK(statistics.failed == 4);
  CHECK(statistics.requests == 1 + 6 + 6 + 1 + 1);
  CHECK(statistics.retried == 10);
  CHECK_FALSE(statistics.cost);

  broken = false;
  verdicts = bench.judge->Ask(questions);
  CHECK(verdicts[0].from_cache);
  CHECK(verdicts[1].scores.at("politeness") == 1);
  CHECK_FALSE(verdicts[1].from_cache);
}

TEST_CASE("a server that refuses ends the asking") {
  FakeServer server([](const Request&, Response& response, int) { Fail(response, 401, "no"); });
  ChatOptions options;
  options.max_concurrent = 2;
  Bench bench(server, testing::kScoreYaml, "", options);
  const auto verdicts = bench.judge->Ask(Numbered(50));
  REQUIRE(verdicts.size() == 50);
  for (const Verdict& verdict : verdicts) {
    CHECK(verdict.status == VerdictStatus::kFailed);
    CHECK(verdict.reason.find("HTTP 401") != std::string::npos);
  }
  CHECK(server.count() <= 2);
  CHECK(bench.judge->statistics().failed == 50);
  const auto thrown = ErrorOf([&] { bench.judge->CheckControls(); });
  CHECK(thrown.code == base::ErrorCode::kUsage);
  CHECK(thrown.Mentions("name the environment variable"));
}

TEST_CASE("controls: a judge that gets one wrong is refused") {
  const auto check = [](const std::string& yaml, const std::string& first,
                        const std::string& second, const std::string& cache_folder = "") {
    FakeServer server([&](const Request& request, Response& response, int) {
      const std::string prompt = UserPrompt(request);
      const bool is_first = prompt.find("Thank you") != std::string::npos || prompt == "now";
      Answer(response, is_first ? first : second);
    });
    Bench bench(server, yaml, cache_folder);
    return ErrorOf([&] { bench.judge->CheckControls(); });
  };
  CHECK_FALSE(check(testing::kScoreYaml, Mark(4), Mark(0)).code);
  CHECK_FALSE(check(testing::kScoreYaml, Mark(5), Mark(0)).code);
  const auto wrong = check(testing::kScoreYaml, Mark(4), Mark(2));
  CHECK(wrong.code == base::ErrorCode::kBadInput);
  CHECK(wrong.message ==
        "j.yaml: the judge some-model fails the control 'rude': expected politeness 0, got "
        "politeness 2; use another model");
  const auto low = check(testing::kScoreYaml, Mark(3), Mark(0));
  CHECK(low.Mentions("'thanks': expected politeness 4 to 5, got politeness 3"));
  const auto mute = check(testing::kScoreYaml, "dunno", Mark(0));
  CHECK(mute.code == base::ErrorCode::kBadInput);
  CHECK(mute.Mentions("dunno"));

  CHECK_FALSE(check(testing::kLabelYaml, R"({"choice": "GO"})", R"({"choice": "WAIT"})").code);
  const auto label = check(testing::kLabelYaml, R"({"choice": "GO"})", R"({"choice": "GO"})");
  CHECK(label.code == base::ErrorCode::kBadInput);
  CHECK(label.Mentions("'not go': expected STAY or WAIT, got GO"));

  const TempDir dir;
  CHECK_FALSE(check(testing::kScoreYaml, Mark(4), Mark(2), dir.path()).Mentions("remove"));
  const auto again = check(testing::kScoreYaml, Mark(4), Mark(0), dir.path());
  CHECK(again.code == base::ErrorCode::kBadInput);
  CHECK(again.Mentions("remove " + dir.path()));
}

TEST_CASE("controls: a server that fails is no verdict on the judge") {
  FakeServer server([](const Request&, Response& response, int) { Fail(response, 502, "down"); });
  Bench bench(server);
  const auto thrown = ErrorOf([&] { bench.judge->CheckControls(); });
  CHECK(thrown.code == base::ErrorCode::kResource);
  CHECK(thrown.Mentions("HTTP 502"));
}

TEST_CASE("the controls of the project's judges can be passed, and failed") {
  for (const char* const name : {"relevance", "behaviour_v15", "service_duplex"}) {
    INFO(name);
    const std::string path = std::string(PPX_SOURCE_DIR "/eval/judges/") + name + ".yaml";
    const JudgeSpec spec = LoadJudgeSpec(path);
    FakeServer oracle([&](const Request& request, Response& response, int) {
      for (const Control& control : spec.controls) {
        if (RenderPrompt(spec.user, control.values) != UserPrompt(request)) continue;
        nlohmann::json answer;
        for (const auto& [field, range] : control.scores) answer[field] = range.lowest;
        for (const std::string& label : control.labels) answer[spec.fields[0]] = label;
        return Answer(response, answer.dump());
      }
      Fail(response, 400, "unknown control");
    });
    Bench good(oracle, testing::ReadFile(path));
    CHECK_NOTHROW(good.judge->CheckControls());
    FakeServer parrot([&](const Request&, Response& response, int) {
      nlohmann::json answer;
      for (const std::string& field : spec.fields) {
        if (spec.kind == AnswerKind::kScore) {
          answer[field] = 5;
        } else {
          answer[field] = spec.labels[0];
        }
      }
      Answer(response, answer.dump());
    });
    Bench bad(parrot, testing::ReadFile(path));
    CHECK(ErrorOf([&] { bad.judge->CheckControls(); }).code == base::ErrorCode::kBadInput);
  }
}

TEST_CASE("interrupted: thrown, and what came is kept") {
  const TempDir dir;
  std::atomic<bool> cancel{false};
  std::atomic<bool> stopping{true};
  FakeServer server([&](const Request& request, Response& response, int number) {
    if (stopping && number == 3) cancel = true;
    MarkByNumber(request, response, number);
  });
  ChatOptions options;
  options.cancel = &cancel;
  options.max_concurrent = 1;
  Bench bench(server, testing::kScoreYaml, dir.path(), options);
  CHECK(ErrorOf([&] { bench.judge->Ask(Numbered(30)); }).code == base::ErrorCode::kInterrupted);
  CHECK(server.count() <= 5);
  const int before = server.count();
  CHECK(dir.CountEntries() >= 3);

  cancel = false;
  stopping = false;
  const auto verdicts = bench.judge->Ask(Numbered(30));
  CHECK(server.count() <= before + 27);
  CHECK(verdicts[29].scores.at("politeness") == 29 % 6);
}

TEST_CASE("a cache that cannot be written loses no verdict") {
  const TempDir dir;
  FakeServer server([](const Request&, Response& response, int) { Answer(response, Mark(3)); });
  Bench bench(server, testing::kScoreYaml, dir.File("cache"));
  std::filesystem::remove(dir.File("cache"));
  CHECK(bench.AskOne().scores.at("politeness") == 3);
  CHECK(bench.judge->statistics().not_cached == 1);
  CHECK(bench.judge->statistics().not_cached_reason.find(dir.File("cache")) != std::string::npos);
}

TEST_CASE("the key is neither in the cache nor in verdicts") {
  const TempDir dir;
  const std::string key = "sk-test-0123456789";
  ::setenv("PPX_TEST_JUDGE_KEY_2", key.c_str(), 1);
  FakeServer server([](const Request& request, Response& response, int) {
    Answer(response, Mark(3) + request.get_header_value("Authorization"));
  });
  ChatOptions options;
  options.key_variable = "PPX_TEST_JUDGE_KEY_2";
  Bench bench(server, testing::kScoreYaml, dir.path(), options);
  const Verdict verdict = bench.AskOne();
  CHECK(verdict.status == VerdictStatus::kOk);
  CHECK(verdict.raw_answer == Mark(3) + "Bearer [key]");
  CHECK(server.seen().at(0).get_header_value("Authorization") == "Bearer " + key);
  REQUIRE(dir.CountEntries() == 1);
  for (const auto& entry : std::filesystem::directory_iterator(dir.path())) {
    CHECK(testing::ReadFile(entry.path().string()).find(key) == std::string::npos);
  }
}

TEST_CASE("a judge cannot be asked a negative number of times") {
  FakeServer server([](const Request&, Response&, int) {});
  JudgeOptions options;
  options.unparsable_retries = -1;
  CHECK(ErrorOf([&] { Bench bench(server, testing::kScoreYaml, "", {}, options); }).code ==
        base::ErrorCode::kUsage);
}

TEST_CASE("statuses have names") {
  CHECK(std::string(StatusName(VerdictStatus::kOk)) == "ok");
  CHECK(std::string(StatusName(VerdictStatus::kUnparsable)) == "unparsable");
  CHECK(std::string(StatusName(VerdictStatus::kFailed)) == "failed");
}

}  // namespace
}  // namespace ppx::judge
