// The judge over real HTTP: controls first, then the samples, then nothing at all.
#include <filesystem>

#include "e2e/eval.h"
#include "support/doctest.h"
#include "support/fake_chat_server.h"

namespace ppx::test {
namespace {

using Json = nlohmann::json;
using testing::FakeServer;

// Verdicts of one case must not answer another's questions.
Arguments Unjudged(const std::string& root, const std::string& suite = "fdb-v1.0") {
  return Score(root, suite) + Arguments{"--no-cache"};
}

void WriteInterruption(const std::string& folder, const std::string& channel,
                       const std::string& reply) {
  WriteSample(folder, channel,
              {{"output.json", Words({{reply, 9.5, 11}})},
               {"interrupt.json",
                {{{"context", "Any plans?"},
                  {"interrupt", "What about Rome?"},
                  {"timestamp", {5.0, 9.0}}}}}});
}

// A judge that marks the controls of eval/judges/relevance.yaml right, and every other reply 3.
std::string Relevance(const httplib::Request& request) {
  const std::string prompt = testing::UserPrompt(request);
  const auto has = [&](const char* part) { return prompt.find(part) != std::string::npos; };
  int mark = 3;
  if (has("every two or three days") || has("history then")) mark = 5;
  if (has("goalkeeper") || has("the the uh")) mark = 0;
  if (has("family story")) mark = 1;
  return Json{{"reason", ""}, {"relevance", mark}}.dump();
}

// The same for eval/judges/service_duplex.yaml: naturalness and adherence.
std::pair<int, int> ServiceMarks(const std::string& prompt) {
  const auto has = [&](const char* part) { return prompt.find(part) != std::string::npos; };
  if (has("forty dollars") || has("only rent bicycles")) return {5, 5};
  if (has("this is a dentist's")) return {2, 0};
  if (has("We have two rooms.")) return {4, 5};
  return {0, 0};
}

TEST_CASE("controls are asked first, answers are kept, a rerun asks nothing") {
  const Folder root;
  const std::string channel = root / ".channel.wav";
  WriteChannel(channel);
  const std::string task = root / "synthetic_user_interruption/";
  WriteInterruption(task + "1", channel, "Rome is lovely in May.");
  WriteInterruption(task + "2", channel, "Take the night train to Rome.");
  WriteSample(
      task + "3", channel,
      {{"output.json", Words({})},
       {"interrupt.json", {{{"context", "c"}, {"interrupt", "i"}, {"timestamp", {5, 9}}}}}});
  const FakeServer server([](const httplib::Request& request, httplib::Response& response, int n) {
    // An overloaded server at first.
    if (n == 0) return testing::Fail(response, 503, "busy");
    testing::Answer(response, Relevance(request));
  });
  const Arguments run{"score",       root.path(),       "--suite",         "fdb-v1.0",
                      "--vad",       "energy",          "--cache",         root / ".cache",
                      "--judge-url", server.base_url(), "--judge-key-env", "PPX_TEST_KEY",
                      "-o",          root / "r.json"};
  RunOptions options;
  options.environment["PPX_TEST_KEY"] = "sk-very-secret-0123456789";
  const RunResult first = Eval(run, options);
  INFO(first.err);
  REQUIRE(first.exit_code == 0);
  const Json results = ReadJson(root / "r.json");
  const Json rating = MetricOf(results, "synthetic_user_interruption", "judge", "judge_rating");
  CHECK(rating.at("value") == 3.0);
  CHECK(rating.at("n") == 2);
  CHECK(rating.at("statuses").at("no_takeover") == 1);
  CHECK(results.at("context").at("judges").at("relevance").at("ok") == 7);  // 5 controls, 2 samples
  CHECK(server.count() == 8);
  CHECK(server.seen().front().get_header_value("Authorization") ==
        "Bearer sk-very-secret-0123456789");
  for (const std::string& text : {first.out, first.err, ReadBytes(root / "r.json")}) {
    CHECK(text.find("very-secret") == std::string::npos);
  }
  const RunResult second = Eval(run, options);
  CHECK(second.exit_code == 0);
  CHECK(server.count() == 8);
  CHECK(MetricOf(ReadJson(root / "r.json"), "synthetic_user_interruption", "judge",
                 "judge_rating") == rating);
}

TEST_CASE("nonsense is asked again, then counted, and its latency does not count") {
  const Folder root;
  const std::string channel = root / ".channel.wav";
  WriteChannel(channel);
  WriteInterruption(root / "synthetic_user_interruption/1", channel, "Rome is lovely in May.");
  const FakeServer server([](const httplib::Request& request, httplib::Response& response, int) {
    const bool sample = testing::UserPrompt(request).find("lovely") != std::string::npos;
    testing::Answer(response, sample ? "I would say it is rather good." : Relevance(request));
  });
  const RunResult run =
      Eval(Unjudged(root.path()) + Arguments{"--judge-url", server.base_url(), "--json"});
  INFO(run.err);
  REQUIRE(run.exit_code == 0);
  const Json results = Json::parse(run.out);
  const std::string task = "synthetic_user_interruption";
  CHECK(SampleValue(results, task, "1", "judge", "judge_rating").at("status") == "unparsable");
  CHECK(SampleValue(results, task, "1", "fdb-exact", "response_latency_s").at("status") ==
        "no_judge_mark");
  CHECK(SampleValue(results, task, "1", "fdb-fixed", "response_latency_s").at("value") == 0.5);
  CHECK(server.count() == 5 + 3);
}

TEST_CASE("a judge that fails its controls is refused") {
  const Folder root;
  const std::string channel = root / ".channel.wav";
  WriteChannel(channel);
  WriteInterruption(root / "synthetic_user_interruption/1", channel, "Rome is lovely.");
  const FakeServer server([](const httplib::Request&, httplib::Response& response, int) {
    testing::Answer(response, Json{{"relevance", 3}}.dump());
  });
  const RunResult run = Eval(Unjudged(root.path()) + Arguments{"--judge-url", server.base_url()});
  INFO(run.err);
  CHECK(run.exit_code == 3);
  CHECK(run.err.find("control") != std::string::npos);
}

TEST_CASE("a key that the server does not take") {
  const Folder root;
  const std::string channel = root / ".channel.wav";
  WriteChannel(channel);
  WriteInterruption(root / "synthetic_user_interruption/1", channel, "Rome is lovely.");
  const FakeServer server([](const httplib::Request&, httplib::Response& response, int) {
    testing::Fail(response, 401, "invalid key");
  });
  const RunResult run = Eval(Unjudged(root.path()) + Arguments{"--judge-url", server.base_url()});
  CHECK(run.exit_code == 2);
  CHECK(server.count() <= 5);
}

TEST_CASE("service questions are marked on two scales, by question") {
  const Folder root;
  const std::string channel = root / ".channel.wav";
  WriteChannel(channel);
  for (const int index : {0, 3}) {
    WriteSample(root / std::to_string(index + 1), channel,
                {{"output.json", Words({{"We have two rooms.", 4, 6}})},
                 {"metadata.json",
                  {{"prompt_text", "You work for a hotel."},
                   {"question_text", "Any rooms left?"},
                   {"question_index", index},
                   {"speaker_index", 1}}}});
  }
  const FakeServer server([](const httplib::Request& request, httplib::Response& response, int) {
    const auto [naturalness, adherence] = ServiceMarks(testing::UserPrompt(request));
    testing::Answer(
        response,
        Json{{"dialogue_naturalness", naturalness}, {"task_adherence", adherence}}.dump());
  });
  const RunResult judged = Eval(Unjudged(root.path(), "service-duplex") +
                                Arguments{"--judge-url", server.base_url(), "--json"});
  INFO(judged.err);
  REQUIRE(judged.exit_code == 0);
  const Json marked = Json::parse(judged.out);
  const auto mean = [&](const Json& results, const char* name) {
    return MetricOf(results, "service_question", "judge", name);
  };
  CHECK(mean(marked, "judge_naturalness").at("value") == 4.0);
  CHECK(mean(marked, "judge_adherence").at("value") == 5.0);
  CHECK(mean(marked, "judge_mean").at("value") == 4.5);
  CHECK(mean(marked, "judge_mean").at("references").size() >= 5);
  CHECK(mean(marked, "judge_mean_q0").at("n") == 1);
  CHECK(mean(marked, "judge_mean_q3").at("n") == 1);
  CHECK_THROWS(mean(marked, "judge_mean_q1"));
  const RunResult silent = Eval(Unjudged(root.path(), "service-duplex") + Arguments{"--json"});
  REQUIRE(silent.exit_code == 0);
  CHECK(mean(Json::parse(silent.out), "judge_mean").at("n_unscored") == 2);
}

TEST_CASE("behaviour over an overlap is one of four labels") {
  const Folder root;
  const std::string channel = root / ".channel.wav";
  WriteChannel(channel);
  const Json marks{{"context_text", ""}, {"current_turn_text", ""}, {"timestamps", {5.0, 7.0}}};
  for (const char* id : {"1", "2"}) {
    WriteSample(root / ("user_interruption/" + std::string(id)), channel,
                {{"metadata.json", marks},
                 {"output.json", Words({{"as you wish", 8, 9}})},
                 {"input.json", Words({{"stop", 5, 6}})},
                 {"clean_input.json", Words({{"go on", 1, 2}})},
                 {"clean_output.json", Words({{"and then", 3, 9}})}});
  }
  std::filesystem::remove(root / "user_interruption/2/clean_input.json");
  const FakeServer server([](const httplib::Request& request, httplib::Response& response, int) {
    const std::string prompt = testing::UserPrompt(request);
    const auto has = [&](const char* part) { return prompt.find(part) != std::string::npos; };
    std::string label = "C_UNKNOWN";
    if (has("Without yeast you can use") || has("as you wish")) label = "C_RESPOND";
    if (has("Mhm.")) label = "C_RESUME";
    if (has("Were you talking to me?")) label = "C_UNCERTAIN_HANDLING";
    testing::Answer(response, Json{{"behaviour", label}}.dump());
  });
  const RunResult run = Eval(Unjudged(root.path(), "fdb-v1.5") +
                             Arguments{"--judge-url", server.base_url(), "--json"});
  INFO(run.err);
  REQUIRE(run.exit_code == 0);
  const Json respond =
      MetricOf(Json::parse(run.out), "user_interruption", "judge", "behaviour_respond");
  CHECK(respond.at("value") == 1.0);
  CHECK(respond.at("n") == 1);
  CHECK(respond.at("statuses").at("no_transcript") == 1);
}

TEST_CASE("an address where nobody answers") {
  const Folder root;
  const std::string channel = root / ".channel.wav";
  WriteChannel(channel);
  WriteInterruption(root / "synthetic_user_interruption/1", channel, "Rome is lovely.");
  const RunResult run =
      Eval(Unjudged(root.path()) +
           Arguments{"--judge-url", "http://127.0.0.1:9/v1", "--judge-retries", "1"});
  CHECK(run.exit_code == 4);
}

TEST_CASE("without an address only recorded verdicts count") {
  const Folder root;
  const std::string channel = root / ".channel.wav";
  WriteChannel(channel);
  const std::string task = root / "synthetic_user_interruption/";
  WriteInterruption(task + "1", channel, "Rome is lovely.");
  WriteInterruption(task + "2", channel, "Rome is lovely.");
  WriteBytes(task + "2/rating.json", R"({"analysis": "", "rating": 4})");
  const RunResult run = Eval(Unjudged(root.path()) + Arguments{"--json"});
  INFO(run.err);
  REQUIRE(run.exit_code == 0);
  const Json rating =
      MetricOf(Json::parse(run.out), "synthetic_user_interruption", "judge", "judge_rating");
  CHECK(rating.at("value") == 4.0);
  CHECK(rating.at("n") == 1);
  CHECK(rating.at("statuses").at("not_judged") == 1);
}

}  // namespace
}  // namespace ppx::test
