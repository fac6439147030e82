#include "report/table.h"

#include <sstream>

#include "report/text.h"
#include "small_results.h"
#include "support/doctest.h"

namespace ppx::report {
namespace {

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// The first line that holds all of `parts`, its runs of blanks as one.
std::string LineWith(const std::string& text, const std::vector<std::string>& parts) {
  std::istringstream lines(text);
  std::string line;
  while (std::getline(lines, line)) {
    bool all = true;
    for (const std::string& part : parts) all = all && Contains(line, part);
    if (!all) continue;
    std::istringstream words(line);
    std::string squeezed;
    std::string word;
    while (words >> word) squeezed += (squeezed.empty() ? "" : " ") + word;
    return squeezed;
  }
  return "(no such line)";
}

}  // namespace

TEST_CASE("the table holds values, intervals, n and what has no value") {
  const std::string table = ToTable(FullResults());
  CAPTURE(table);
  CHECK(Contains(table, "suite fdb-v1.0 version 1, speech by silero 6.2"));
  CHECK(Contains(table, "lead-in 0.5 s, tail null s, alignment stream"));
  CHECK(Contains(table, "95 % interval"));
  // Clopper-Pearson for 8 of 10.
  CHECK(LineWith(table, {"takeover_rate", "fdb-exact"}) ==
        "takeover_rate fdb-exact * higher 0.800 [0.444, 0.975] 10");
  CHECK(Contains(LineWith(table, {"response_latency_s (s)", "9"}), "event lower 137.4"));
  CHECK(Contains(LineWith(table, {"response_latency_s (s)", "9"}), "1 no_response"));
  CHECK(LineWith(table, {"response_latency_s (s)", "2 no_response"}) ==
        "response_latency_s (s) event lower - 0 2 no_response");
}

TEST_CASE("published numbers stand beside ours, each once, with their source") {
  const std::string table = ToTable(FullResults());
  CHECK(LineWith(table, {"PersonaPlex-7B-v1"}) ==
        "takeover_rate 0.908 PersonaPlex-7B-v1 model card");
  CHECK(LineWith(table, {"Moshi"}) == "takeover_rate 0.941 Moshi FullDuplexBench README");
  CHECK(table.find("PersonaPlex-7B-v1") == table.rfind("PersonaPlex-7B-v1"));
}

TEST_CASE("scorers that disagree are marked, and said in words") {
  const std::string table = ToTable(FullResults());
  CHECK(Contains(table,
                 "The scorers disagree (*)\n  candor_turn_taking takeover_rate: event 0.300 "
                 "(n = 10), fdb-exact 0.800 (n = 10)\n"));
  CHECK(Contains(table, "event *"));

  Results close = OneMetricResults({}, Ones(50, 100));
  OneMetric event;
  event.scorer = "event";
  Add(close, event, Ones(54, 100));
  CHECK(Disagreements(close).empty());
  CHECK_FALSE(Contains(ToTable(close), "*"));

  Results absent = OneMetricResults({}, Ones(1, 2));
  Add(absent, event, {std::nullopt, std::nullopt});
  REQUIRE(Disagreements(absent).size() == 1);
  CHECK(Disagreements(absent)[0] ==
        "candor_turn_taking takeover_rate: event - (n = 0), fdb-exact 0.500 (n = 2)");

  Results nothing = OneMetricResults({}, {std::nullopt});
  Add(nothing, event, {std::nullopt});
  CHECK(Disagreements(nothing).empty());
}

TEST_CASE("latencies disagree from 0.1 s on") {
  for (const double other : {0.55, 0.65}) {
    OneMetric latency = Latency();
    Results results = OneMetricResults(latency, {0.5, 0.5});
    latency.scorer = "fdb-fixed";
    Add(results, latency, {other, other});
    CHECK(Disagreements(results).size() == (other > 0.6 ? 1 : 0));
  }
}

TEST_CASE("tests, flags and broken samples have their place") {
  const std::string table = ToTable(FullResults());
  CHECK(LineWith(table, {"words_per_minute", "0.230"}) ==
        "user_interruption words_per_minute after - before 1.000 [-1.500, 3.500] 3 0.230 0.040");
  CHECK(LineWith(table, {"words_per_minute", "5.000"}) ==
        "user_interruption words_per_minute after - before 5.000 2");
  CHECK(LineWith(table, {"noise_like"}) == "candor_turn_taking noise_like 1");
  CHECK(Contains(table,
                 "Not scored: 1 of 13 samples\n  icc_backchannel/3: output.wav: no samples\n"));
}

TEST_CASE("of many broken samples the first few are named") {
  Results results;
  for (int i = 0; i < 9; ++i) {
    const std::string id = std::to_string(i);
    results.samples.push_back({"t", id, "t/" + id, false, "broken", {}, {}});
  }
  for (const std::string& text : {ToTable(results), ToMarkdown(results)}) {
    CHECK(Contains(text, "Not scored: 9 of 9 samples"));
    CHECK(Contains(text, "t/4: broken"));
    CHECK_FALSE(Contains(text, "t/5: broken"));
    CHECK(Contains(text, "and 4 more"));
  }
}

TEST_CASE("a task is one block, wherever its metrics stand") {
  Results results = FullResults();
  std::swap(results.metrics[1], results.metrics[3]);
  const std::string table = ToTable(results);
  CHECK(table.find("\ncandor_turn_taking\n") == table.rfind("\ncandor_turn_taking\n"));
}

TEST_CASE("results without anything in them are no trouble") {
  CHECK(Contains(ToTable(Results{}), "suite"));
  CHECK(Contains(ToMarkdown(Results{}), "## ppx-eval"));
  Results odd;
  odd.context = {{"suite", 3}, {"statistics", "x"}, {"alignment", {{"a", "\xff"}}}};
  CHECK_FALSE(ToTable(odd).empty());
  CHECK_FALSE(ToMarkdown(odd).empty());
}

TEST_CASE("hostile text neither reaches the terminal nor leaves its Markdown cell") {
  const std::string table = ToTable(HostileResults());
  CHECK_FALSE(Contains(table, "\x1b"));
  CHECK_FALSE(Contains(table, "\r"));
  CHECK(ValidUtf8(table) == table);
  const std::string markdown = ToMarkdown(HostileResults());
  CHECK_FALSE(Contains(markdown, "\x1b"));
  CHECK_FALSE(Contains(markdown, "<b>"));
  CHECK(ValidUtf8(markdown) == markdown);
  std::istringstream lines(markdown);
  std::string line;
  size_t cells = 0;
  while (std::getline(lines, line)) {
    size_t bars = 0;
    for (size_t i = 0; i < line.size(); ++i) {
      if (line[i] == '|' && (i == 0 || line[i - 1] != '\\')) ++bars;
    }
    // Every line of a table has the cells of its head.
    if (!line.starts_with("|")) {
      cells = 0;
    } else if (cells == 0) {
      cells = bars;
    } else {
      CHECK(bars == cells);
    }
  }
}

TEST_CASE("Markdown holds what the table holds") {
  const std::string markdown = ToMarkdown(FullResults());
  CAPTURE(markdown);
  CHECK(Contains(markdown,
                 "### candor\\_turn\\_taking\n\n| metric | scorer | better | value | 95 % "
                 "interval | n | unscored | published |\n| --- |"));
  CHECK(Contains(markdown,
                 "| takeover\\_rate | fdb-exact \\* | higher | 0.800 | \\[0.444, 0.975\\] "
                 "| 10 |  | 0.908 PersonaPlex-7B-v1 (model card); 0.941 Moshi "
                 "(FullDuplexBench README) |"));
  CHECK(Contains(markdown, "### The scorers disagree (*)\n\n- candor"));
  CHECK(Contains(markdown, "### Paired t tests"));
  CHECK(Contains(markdown, "| candor\\_turn\\_taking | no\\_speech | 1 |"));
  CHECK(Contains(markdown, "### Not scored: 1 of 13 samples"));
}

}  // namespace ppx::report
