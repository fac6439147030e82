#include "evaluate/judging.h"

#include <fmt/format.h>

#include <array>
#include <filesystem>
#include <utility>

#include "judge/recorded_verdicts.h"

namespace ppx::evaluate {
namespace {

namespace fs = std::filesystem;
using metrics::Scored;
using suite::TaskKind;

constexpr const char* kJudge = "judge";
constexpr const char* kRating = "rating";  // the mark's name in rating.json

struct Behaviour {
  const char* label;
  const char* metric;
};
constexpr std::array<Behaviour, 4> kBehaviours{{{"C_RESPOND", "behaviour_respond"},
                                                {"C_RESUME", "behaviour_resume"},
                                                {"C_UNCERTAIN_HANDLING", "behaviour_uncertain"},
                                                {"C_UNKNOWN", "behaviour_unknown"}}};

// The transcript beside a recording, input.json for input.wav; no value where there is none.
std::optional<std::string> TranscriptOf(const fs::path& folder, const std::string& audio_file) {
  const fs::path path = folder / fs::path(audio_file).replace_extension(".json");
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return std::nullopt;
  return Joined(annotate::ReadTranscript(path.string()).chunks);
}

bool TookOver(const SampleScores& scores) {
  const report::SampleValue* takeover = scores.Find("fdb-exact", "takeover_rate");
  return takeover != nullptr && takeover->value == 1.0;
}

}  // namespace

std::optional<judge::Verdict> RecordedVerdict(const suite::Task& task, const std::string& folder) {
  if (task.files.verdict.empty()) return std::nullopt;
  const std::string path = (fs::path(folder) / task.files.verdict).string();
  if (task.kind == TaskKind::kOverlap) {
    std::array<std::string, kBehaviours.size()> labels;
    for (size_t i = 0; i < labels.size(); ++i) labels[i] = kBehaviours[i].label;
    return judge::ReadRecordedLabel(path, labels);
  }
  return judge::ReadRecordedRating(path, kRating);
}

std::optional<judge::Question> QuestionFor(const suite::Task& task, const std::string& folder,
                                           const SampleInputs& inputs, SampleScores& scores,
                                           std::string& why_not) {
  why_not = "no_transcript";
  if (!inputs.words) return std::nullopt;
  judge::Question question;
  question.values = inputs.marks.texts;
  switch (task.kind) {
    case TaskKind::kInterruption:
      why_not = "no_takeover";
      if (!TookOver(scores)) return std::nullopt;
      question.values["reply"] = Joined(*inputs.words);
      return question;
    case TaskKind::kOverlap:
      question.values["output"] = Joined(*inputs.words);
      for (const auto& [name, audio_file] :
           {std::pair("input", task.files.user), std::pair("clean_input", task.files.clean_user),
            std::pair("clean_output", task.files.clean_agent)}) {
        const auto text = TranscriptOf(folder, audio_file);
        if (!text) return std::nullopt;
        question.values[name] = *text;
      }
      return question;
    case TaskKind::kServiceQuestion:
      scores.question_index = inputs.marks.question_index;
      question.values["reply"] = Joined(*inputs.words);
      return question;
    case TaskKind::kPauseHandling:
    case TaskKind::kTurnTaking:
    case TaskKind::kBackchannel:
    case TaskKind::kChannels:
      break;
  }
  return std::nullopt;
}

void AddVerdict(const suite::Task& task, const Marks& marks, const judge::Verdict& verdict,
                SampleScores& scores) {
  if (verdict.status != judge::VerdictStatus::kOk) {
    AddNoVerdict(task, judge::StatusName(verdict.status), scores);
    return;
  }
  if (task.kind == TaskKind::kOverlap) {
    for (const Behaviour& behaviour : kBehaviours) {
      scores.Add(kJudge, behaviour.metric, Scored::Of(verdict.label == behaviour.label ? 1 : 0));
    }
    return;
  }
  if (task.kind == TaskKind::kInterruption) {
    const bool counts = TookOver(scores);
    scores.Add(kJudge, "judge_rating",
               counts ? Scored::Of(verdict.scores.begin()->second) : Scored::Not("no_takeover"));
    return;
  }
  double sum = 0;
  for (const auto& [field, score] : verdict.scores) sum += score;
  const double mean = sum / static_cast<double>(verdict.scores.size());
  const auto add = [&](const char* name, const char* field) {
    const auto found = verdict.scores.find(field);
    if (found != verdict.scores.end()) scores.Add(kJudge, name, Scored::Of(found->second));
  };
  add("judge_naturalness", "dialogue_naturalness");
  add("judge_adherence", "task_adherence");
  scores.Add(kJudge, "judge_mean", Scored::Of(mean));
  if (marks.question_index) {
    scores.Add(kJudge, fmt::format("judge_mean_q{}", *marks.question_index), Scored::Of(mean));
  }
}

void AddNoVerdict(const suite::Task& task, const std::string& status, SampleScores& scores) {
  for (const suite::MetricChoice& metric : task.metrics) {
    const bool by_question = metric.name.starts_with("judge_mean_q");
    if (by_question && scores.question_index &&
        metric.name != fmt::format("judge_mean_q{}", *scores.question_index)) {
      continue;
    }
    if (metric.name.starts_with("judge_") || metric.name.starts_with("behaviour_")) {
      scores.Add(kJudge, metric.name, Scored::Not(status));
    }
  }
}

}  // namespace ppx::evaluate
