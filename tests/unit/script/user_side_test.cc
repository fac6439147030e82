#include "script/user_side.h"

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "script_bench.h"
#include "support/doctest.h"
#include "support/expect_error.h"

namespace ppx::script {
namespace {

using testing::ErrorOf;

constexpr double kFrameS = 0.08;
// How late speech of an agent is known, with the usual settings and a frame's raster on top.
constexpr double kStartKnownS = 0.12 + kFrameS;
constexpr double kStopKnownS = 0.32 + kFrameS;

const double kHeardS = 1.0 / 48000;  // less than a sample

float SampleAt(const Performance& performance, double seconds) {
  return performance.user.at(static_cast<size_t>(At(seconds)));
}

void CheckBetween(double value, double low, double high) {
  CHECK(value >= low - kHeardS);
  CHECK(value <= high + kHeardS);
}

bool OnFrame(double seconds) {
  return std::abs(seconds / kFrameS - std::round(seconds / kFrameS)) < 1e-9;
}

TEST_CASE("clips one after the other, to the sample") {
  const Bench bench;
  const auto script = bench.WithClips(R"(
tail_s: 0.5
steps:
  - {id: a, play: one, when: {at_s: 0.123}}
  - play: half
  - {play: half, when: {after: a, delay_s: 2}}
)");
  const auto p = Perform(script);
  CHECK(p.StartOf("one") == 0.123);
  CHECK(SampleAt(p, 0.123 - 1.0 / kRateHz) == 0);
  CHECK(SampleAt(p, 0.123) == 0.25F);
  CHECK(SampleAt(p, 1.123 - 1.0 / kRateHz) == 0.25F);
  CHECK(SampleAt(p, 1.123) == 0.5F);
  CHECK(SampleAt(p, 1.623) == 0);
  CHECK(SampleAt(p, 3.123) == 0.5F);
  CHECK(p.WhyEnded() == "steps");
  CHECK(p.EndedAt() == doctest::Approx(4.123));
  CHECK(p.frames == 52);  // ceil(4.123 / 0.08)
}

TEST_CASE("overlapping clips are added, and the end waits for all of them") {
  const Bench bench;
  const auto p = Perform(bench.WithClips(R"(
tail_s: 0
background: [{play: half, at_s: 0.25}]
steps:
  - {play: one, overlap: true}
  - {play: half, when: {delay_s: 0.5}}
)"));
  CHECK(SampleAt(p, 0.2) == 0.25F);
  CHECK(SampleAt(p, 0.3) == 0.75F);
  CHECK(SampleAt(p, 0.6) == 1.25F);
  CHECK(SampleAt(p, 0.8) == 0.75F);
  CHECK(p.EndedAt() == 1.0);
}

TEST_CASE("times that are past hold at once") {
  const Bench bench;
  const auto p = Perform(bench.WithClips(R"(
tail_s: 0
steps:
  - {id: a, play: one}
  - {play: half, when: {at_s: 0.5}}
  - {play: one, when: {after: a, delay_s: 0.1}}
)"));
  CHECK(p.StartOf("half") == 1.0);
  CHECK(p.EndedAt() == 2.5);
}

TEST_CASE("an interruption two seconds into the answer") {
  const Bench bench;
  const auto script = bench.WithClips(R"(
task: interruption
steps:
  - {play: one, when: {at_s: 0.4}}
  - {id: cut, play: half, when: {agent_spoken_s: 2}, within_s: 20, mark: true}
)");
  for (const double answer_s : {1.6, 2.03, 5.17}) {
    CAPTURE(answer_s);
    const auto p = Perform(script, {{{answer_s, answer_s + 4}}, {}});
    const double cut_s = p.StartOf("half");
    CheckBetween(cut_s, answer_s + 2 - 0.02, answer_s + 2 + 0.02 + kFrameS);
    CHECK(OnFrame(cut_s));
    CHECK(p.Find(EventKind::kClipStart, "cut")->cause == "agent_spoken_s");
    CHECK(p.Find(EventKind::kClipStart, "cut")->mark);
  }
  const auto silent = Perform(script);
  CHECK(silent.StartOf("half") == -1);
  CHECK(silent.Find(EventKind::kTimeout, "cut")->text == "skip");
  CHECK(silent.Find(EventKind::kTimeout, "cut")->time_s == doctest::Approx(1.4 + 20));
}

TEST_CASE("what the agent did before the step was reached does not count") {
  const Bench bench;
  // Speaking from 0.2 on, while the user speaks until 1.
  const Agent talker{{{0.2, 6}}, {{" Yes", 0.5, 0.7}}};
  const auto after = [&](const std::string& when) {
    return Perform(bench.WithClips("duration_s: 12\nsteps: [{play: one}, {play: half, when: {" +
                                   when + "}}]"),
                   talker)
        .StartOf("half");
  };
  CHECK(after("agent_starts: true") == -1);
  CHECK(after("agent_says: yes") == -1);
  CheckBetween(after("agent_spoken_s: 2"), 3, 3 + kFrameS);
  CheckBetween(after("agent_stops: true"), 6.28, 6 + kStopKnownS);
  CheckBetween(after("agent_silent_s: 1"), 6.98, 7.02 + kFrameS);
}

TEST_CASE("silence is counted from its begin or from the step, whichever is later") {
  const Bench bench;
  const auto script =
      bench.WithClips("steps: [{play: one}, {play: half, when: {agent_silent_s: 1.5}}]");
  CheckBetween(Perform(script).StartOf("half"), 2.5, 2.5 + kFrameS);
  const auto p = Perform(script, {{{0.3, 3}}, {}});
  CheckBetween(p.StartOf("half"), 4.48, 4.52 + kFrameS);
  // Shorter than the silence that ends speech: as soon as that is known.
  const auto quick =
      bench.WithClips("steps: [{play: one}, {play: half, when: {agent_silent_s: 0.05}}]");
  CheckBetween(Perform(quick, {{{0.3, 3}}, {}}).StartOf("half"), 3.28, 3 + kStopKnownS);
}

TEST_CASE("starts and stops, and how they are recorded") {
  const Bench bench;
  const auto p = Perform(bench.WithClips(R"(
tail_s: 1
steps:
  - {play: half, when: {agent_starts: true}}
  - {play: one, when: {agent_stops: true}}
)"),
                         {{{1, 3}}, {}});
  CheckBetween(p.StartOf("half"), 1.08, 1 + kStartKnownS);
  CheckBetween(p.StartOf("one"), 3.28, 3 + kStopKnownS);
  const ScriptEvent* start = p.Find(EventKind::kAgentSpeechStart);
  CheckBetween(start->time_s, 0.98, 1.02);
  CheckBetween(start->known_s, 1.08, 1.12);
  CHECK(start->known_s <= p.StartOf("half"));
  const ScriptEvent* stop = p.Find(EventKind::kAgentSpeechStop);
  CheckBetween(stop->time_s, 2.98, 3.02);
  CHECK(stop->known_s <= p.StartOf("one"));
}

TEST_CASE("words, phrases, and lists of them") {
  const Bench bench;
  const Agent agent{
      {}, {{" Well,", 1.0, 1.2}, {" see", 2.0, 2.2}, {" You", 2.3, 2.5}, {"!", 2.5, 2.5}}};
  const auto heard = [&](const std::string& words) {
    return Perform(bench.WithClips(
                       "duration_s: 6\nsteps: [{play: half, when: {agent_says: " + words + "}}]"),
                   agent)
        .StartOf("half");
  };
  CheckBetween(heard("well"), 1.0, 1.0 + 2 * kFrameS);
  CheckBetween(heard("WELL!"), 1.0, 1.0 + 2 * kFrameS);
  CheckBetween(heard("see you"), 2.3, 2.3 + 2 * kFrameS);
  CheckBetween(heard("[goodbye, see]"), 2.0, 2.0 + 2 * kFrameS);
  CHECK(heard("you see") == -1);
  CHECK(heard("we") == -1);
}

TEST_CASE("time-outs: skip, play, play another, go elsewhere, end") {
  const Bench bench;
  const auto with = [&](const std::string& action) {
    return Perform(
        bench.WithClips("tail_s: 0.5\nsteps:\n  - {id: w, play: half, when: "
                        "{agent_starts: true}, within_s: 1.5" +
                        (action.empty() ? "" : ", on_timeout: " + action) +
                        "}\n  - {id: next, play: one, when: {delay_s: 0.25}}\n"));
  };
  const auto skipped = with("");
  CHECK(skipped.StartOf("half") == -1);
  CHECK(skipped.StartOf("one") == 1.75);
  CHECK(skipped.Find(EventKind::kTimeout)->time_s == 1.5);
  CHECK(with("skip").events == skipped.events);
  const auto played = with("play");
  CHECK(played.StartOf("half") == 1.5);
  CHECK(played.Find(EventKind::kClipStart)->cause == "timeout");
  CHECK(played.StartOf("one") == 2.25);
  const auto other = with("{play: one}");
  CHECK(other.StartOf("half") == -1);
  CHECK(other.Find(EventKind::kClipStart, "w", "one")->time_s == 1.5);
  CHECK(other.Find(EventKind::kClipStart, "next", "one")->time_s == 2.75);
  const auto elsewhere = with("{goto: next}");
  CHECK(elsewhere.Find(EventKind::kTimeout)->to == "next");
  CHECK(elsewhere.StartOf("one") == 1.75);
  const auto ended = with("end");
  CHECK(ended.WhyEnded() == "timeout");
  CHECK(ended.EndedAt() == 2.0);
}

TEST_CASE("a condition that holds at the very time-out wins") {
  const Bench bench;
  const auto p = Perform(
      bench.WithClips("steps: [{play: half, when: {at_s: 1.5}, within_s: 1.5, on_timeout: end}]"));
  CHECK(p.StartOf("half") == 1.5);
  CHECK(p.Find(EventKind::kTimeout) == nullptr);
}

TEST_CASE("branches go where the first condition leads") {
  const Bench bench;
  const auto script = bench.WithClips(R"(
tail_s: 0.5
steps:
  - id: ask
    branch:
      - {agent_says: yes, goto: agreed}
      - {agent_starts: true, goto: talks}
      - {delay_s: 3, goto: silent}
branches:
  agreed: [{play: one}]
  talks: [{play: half}, {goto: agreed}]
  silent: [{end: nobody there}]
)");
  const auto agreed = Perform(script, {{{1, 2}}, {{"Yes", 1.0, 1.1}}});
  CHECK(agreed.Find(EventKind::kBranch)->to == "agreed");
  CHECK(agreed.Find(EventKind::kBranch)->cause == "agent_says");
  const auto talks = Perform(script, {{{1, 2}}, {{"No", 1.0, 1.1}}});
  CHECK(talks.Find(EventKind::kBranch)->to == "talks");
  CHECK(talks.StartOf("one") == talks.StartOf("half") + 0.5);
  const auto silent = Perform(script);
  CHECK(silent.Find(EventKind::kBranch)->time_s == 3.0);
  CHECK(silent.WhyEnded() == "end");
  CHECK(silent.Find(EventKind::kEnd)->cause == "nobody there");
  CHECK(silent.EndedAt() == 3.5);

  // Known in the same frame: the one written first.
  const Agent both{{{1, 2}}, {{"yes", 1.09, 1.2}}};
  const auto same = Perform(script, both);
  const auto swapped = Perform(bench.WithClips(R"(
steps:
  - branch:
      - {agent_starts: true, goto: b}
      - {agent_says: yes, goto: a}
branches: {a: [{play: one}], b: [{play: half}]}
)"),
                               both);
  CHECK(same.Find(EventKind::kBranch)->time_s == swapped.Find(EventKind::kBranch)->time_s);
  CHECK(same.Find(EventKind::kBranch)->to == "agreed");
  CHECK(swapped.Find(EventKind::kBranch)->to == "b");
}

TEST_CASE("a loop runs until the dialogue's end, and an agent's start counts once") {
  const Bench bench;
  const auto script = bench.WithClips(R"(
duration_s: 10
steps:
  - {id: again, wait: {agent_starts: true}}
  - {id: said, play: half}
  - goto: again
)");
  const auto p = Perform(script, {{{1, 1.5}, {3, 3.5}, {7, 8}}, {}});
  const auto played = std::count_if(p.events.begin(), p.events.end(), [](const ScriptEvent& e) {
    return e.kind == EventKind::kClipStart;
  });
  CHECK(played == 3);
  CHECK(p.WhyEnded() == "duration");
  CHECK(p.EndedAt() == 10);
  CHECK(p.frames == 125);
}

TEST_CASE("the hard limit cuts what is playing") {
  const Bench bench;
  const auto script = bench.WithClips(R"(
duration_s: 2.3
background: [{play: half, at_s: 2.2}]
steps: [{play: one}, {play: one}, {play: one}]
)");
  const auto p = Perform(script);
  CHECK(p.frames == 29);
  CHECK(p.EndedAt() == doctest::Approx(2.3));
  CHECK(p.WhyEnded() == "duration");
  CHECK(SampleAt(p, 2.29) == 0.75F);
  CHECK(SampleAt(p, 2.3) == 0);
  const auto cut = std::count_if(p.events.begin(), p.events.end(), [](const ScriptEvent& e) {
    return e.kind == EventKind::kClipEnd && e.cut && e.time_s == 2.3;
  });
  CHECK(cut == 2);
  const auto clips = std::make_shared<const ClipSet>(LoadClips(script, kRateHz, nullptr));
  UserSide side(script, clips, kRateHz, kFrame, 1);
  CHECK(side.max_frames() == 29);
}

TEST_CASE("waits, plain numbers among them") {
  const Bench bench;
  const auto p = Perform(bench.WithClips(
      "tail_s: 0\nsteps: [{wait: 0.5}, {wait: 0}, {wait: {any_of: [{agent_starts: true}, {delay_s: "
      "1}]}}, {play: half}]"));
  CHECK(p.StartOf("half") == 1.5);
  CHECK(p.EndedAt() == 2.0);
}

TEST_CASE("after a step that was never reached: from where this one was") {
  const Bench bench;
  const auto p = Perform(bench.WithClips(R"(
steps:
  - {wait: 1}
  - goto: b
  - {id: never, play: one}
branches:
  b: [{play: half, when: {after: never, delay_s: 0.5}}]
)"));
  CHECK(p.StartOf("half") == 1.5);
}

TEST_CASE("two agents: a side each, and only end and duration end it") {
  const Bench bench;
  const auto script = bench.WithClips(R"(
duration_s: 4
tail_s: 0.5
noise: {kind: white, level_db: -60}
background: [{play: one, at_s: 2}]
agent_a: {steps: [{play: half, when: {at_s: 0.5}}]}
agent_b: {steps: [{wait: {agent_starts: true}}, {end: heard}]}
)");
  const auto a = Perform(script);
  CHECK(a.StartOf("half") == 0.5);
  CHECK(a.StartOf("one") == 2.0);
  CHECK(a.WhyEnded() == "duration");
  CHECK(a.EndedAt() == 4.0);
  const auto b = Perform(script, {}, 1, Side::kB);
  CHECK(b.StartOf("one") == -1);
  CHECK(b.WhyEnded() == "duration");
  CHECK(b.user != a.user);
  CHECK(std::abs(b.user[100]) > 0);
  CHECK(a.user[100] != b.user[100]);
  CHECK(b.Find(EventKind::kEnd)->side == Side::kB);
  const auto heard = Perform(script, {{{1, 2}}, {}}, 1, Side::kB);
  CHECK(heard.WhyEnded() == "end");
  CHECK(heard.EndedAt() < 2);
  const auto quiet =
      bench.WithClips("duration_s: 1\nagent_a: {steps: [{play: half}]}\nagent_b: {}");
  CHECK(Perform(quiet, {}, 1, Side::kB).EndedAt() == 1.0);
}

DialogueScript Rich(const Bench& bench) {
  return bench.WithClips(R"(
duration_s: 12
noise: {kind: pink, snr_db: 20}
steps:
  - {play: one, when: {at_s: 0.2}}
  - id: x
    branch:
      - {agent_says: stop, goto: stopped}
      - {agent_spoken_s: 0.7, goto: talks}
      - {agent_silent_s: 1.1, goto: quiet}
    within_s: 5
    on_timeout: end
branches:
  stopped: [{play: half}, {end: asked to}]
  talks: [{play: half, overlap: true}, {wait: {agent_stops: true}}, {goto: x}]
  quiet: [{play: one}, {goto: x}]
)");
}

Agent RandomAgent(uint32_t seed) {
  std::mt19937 random(seed);
  const auto some = [&](int low_ms, int high_ms) {
    return (low_ms + static_cast<int>(random() % static_cast<uint32_t>(high_ms - low_ms))) / 1000.0;
  };
  Agent agent;
  for (double t = some(300, 2500); t < 12; t += some(400, 2000)) {
    const double end = t + some(200, 2000);
    agent.speech.push_back({t, end});
    if (random() % 8 == 0) agent.words.push_back({" stop", t, t + 0.2});
    t = end;
  }
  return agent;
}

TEST_CASE("the same inputs give the same samples and events; another seed gives other noise") {
  const Bench bench;
  const auto script = Rich(bench);
  const auto first = Perform(script, RandomAgent(3), 5);
  const auto second = Perform(script, RandomAgent(3), 5);
  CHECK(first.user == second.user);
  CHECK(first.events == second.events);
  const auto other = Perform(script, RandomAgent(3), 6);
  CHECK(first.user != other.user);
  CHECK(first.events == other.events);
}

TEST_CASE("a frame depends on nothing that the agent does after the frame before") {
  const Bench bench;
  const auto script = Rich(bench);
  const auto clips = std::make_shared<const ClipSet>(LoadClips(script, kRateHz, nullptr));
  size_t reacted = 0;
  for (uint32_t seed = 1; seed <= 40; ++seed) {
    CAPTURE(seed);
    const Agent agent = RandomAgent(seed);
    const Agent other = RandomAgent(seed + 1000);
    const auto whole = Perform(script, agent);
    const auto change = static_cast<int64_t>(seed * 3);
    UserSide side(script, clips, kRateHz, kFrame, 1);
    while (!side.finished()) {
      const int64_t frame = side.frames();
      const auto pcm = side.NextFrame();
      if (frame <= change) {
        const auto begin = whole.user.begin() + frame * kFrame;
        CHECK(std::equal(pcm.begin(), pcm.end(), begin));
      }
      const Agent& heard = frame < change ? agent : other;
      side.HearAgent(heard.Frame(frame), heard.Words(frame));
    }
    if (side.events() != whole.events) ++reacted;
  }
  CHECK(reacted > 20);
}

TEST_CASE("events come in the order in which they are known") {
  const Bench bench;
  for (uint32_t seed = 1; seed <= 10; ++seed) {
    const auto p = Perform(Rich(bench), RandomAgent(seed));
    const auto sorted = MergeEvents(p.events, {});
    CHECK(std::is_sorted(sorted.begin(), sorted.end(),
                         [](const auto& a, const auto& b) { return a.known_s < b.known_s; }));
    for (const ScriptEvent& event : p.events) CHECK(event.known_s >= event.time_s - kFrameS);
  }
}

TEST_CASE("calls that make no sense") {
  const Bench bench;
  const auto script = bench.WithClips("duration_s: 0.1\nsteps: [{wait: 1}]");
  const auto clips = std::make_shared<const ClipSet>(LoadClips(script, kRateHz, nullptr));
  const auto refused = [](auto&& call) { CHECK(ErrorOf(call).code == base::ErrorCode::kInternal); };
  refused([&] { UserSide(script, nullptr, kRateHz, kFrame, 1); });
  refused([&] { UserSide(script, clips, kRateHz + 1, kFrame, 1); });
  refused([&] { UserSide(script, clips, kRateHz, 0, 1); });
  refused([&] { UserSide(script, clips, kRateHz, kFrame, 1, Side::kB); });
  refused([&] { UserSide(script, std::make_shared<const ClipSet>(), kRateHz, kFrame, 1); });
  UserSide side(script, clips, kRateHz, kFrame, 1);
  const std::vector<float> pcm(kFrame, 0.0F);
  refused([&] { side.HearAgent(pcm, {}); });
  CHECK(side.NextFrame().size() == kFrame);
  refused([&] { side.HearAgent(std::span(pcm).first(5), {}); });
  side.HearAgent({}, {});
  refused([&] { side.HearAgent(pcm, {}); });
  CHECK_FALSE(side.finished());
  side.NextFrame();
  CHECK(side.finished());
  refused([&] { side.NextFrame(); });
  side.HearAgent(pcm, {});
}

TEST_CASE("a copy goes on independently") {
  const Bench bench;
  const auto script = Rich(bench);
  const auto clips = std::make_shared<const ClipSet>(LoadClips(script, kRateHz, nullptr));
  UserSide side(script, clips, kRateHz, kFrame, 1);
  for (int i = 0; i < 20; ++i) {
    side.NextFrame();
    side.HearAgent({}, {});
  }
  UserSide copy = side;
  while (!side.finished()) {
    REQUIRE_FALSE(copy.finished());
    CHECK(side.NextFrame() == copy.NextFrame());
    side.HearAgent({}, {});
    copy.HearAgent({}, {});
  }
  CHECK(side.events() == copy.events());
}

}  // namespace
}  // namespace ppx::script
