#include "evaluate/score.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <type_traits>

#include "audio/wav_reader.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/small_file.h"
#include "evaluate/aggregate.h"
#include "evaluate/judging.h"
#include "evaluate/parallel.h"
#include "evaluate/sample_scores.h"
#include "evaluate/selftest.h"
#include "evaluate/speech_change.h"
#include "metrics/distance.h"
#include "metrics/multiple_tests.h"
#include "suite/references.h"
#include "suite/sample_folders.h"

namespace ppx::evaluate {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using suite::TaskKind;

constexpr size_t kMaxGroundTruthBytes = size_t{64} << 20;

using GroundTruth = std::map<std::string, std::vector<double>>;

GroundTruth ReadGroundTruth(const std::string& path) {
  try {
    const Json json = Json::parse(
        base::ReadSmallFile(path, kMaxGroundTruthBytes, "backchannel ground truth (JSON)"));
    auto truth = json.get<GroundTruth>();
    for (const auto& [id, weights] : truth) {
      const bool sound = std::all_of(weights.begin(), weights.end(),
                                     [](double w) { return std::isfinite(w) && w >= 0; });
      if (!sound) {
        base::ThrowBadInput(fmt::format("{}: sample '{}' has a negative weight", path, id));
      }
    }
    return truth;
  } catch (const Json::exception&) {
    base::ThrowBadInput(path + ": expected backchannel ground truth: {\"sample\": [weights], ...}");
  }
}

// What one sample came to, before the judge.
struct Scored {
  report::SampleRow row;
  SampleScores scores;
  std::optional<judge::Question> question;
  SpeechChange speech;
};

// Everything that is the same for all samples.
struct Scorer {
  const suite::Suite& suite;
  const ScoreOptions& options;
  AudioAnalyst analyst;
  std::map<size_t, GroundTruth> ground_truth;  // by task
  std::string ground_truth_sha256;             // of its file; empty: none
  std::vector<float> voice;                    // embedding of the voice prompt

  Scored ScoreOne(const suite::SampleFolder& sample) const {
    const suite::Task& task = suite.tasks[sample.task];
    Scored scored;
    scored.row = {task.name, sample.id, sample.folder, false, "", {}, {}};
    const std::string folder = (fs::path(options.root) / sample.folder).string();
    try {
      const SampleInputs inputs =
          ReadSample(task, folder, analyst, options.transcripts, options.cancel);
      scored.scores = ScoreSample(task, inputs, TruthOf(sample));
      scored.scores.made_with = inputs.made_with;
      scored.scores.words_file = inputs.words_file;
      AddVerdicts(task, folder, inputs, scored);
      AddSpeaker(task, folder, scored.scores);
      if (task.kind == TaskKind::kOverlap) {
        scored.speech = SpeechChangeOf(task, folder, inputs, *options.vad);
        for (const auto& [name, value] : scored.speech.values) {
          scored.scores.Add("v15", name, value);
        }
      }
      scored.row.scored = true;
      scored.row.flags = scored.scores.flags;
    } catch (const base::Error& error) {
      if (error.code() != base::ErrorCode::kBadInput) throw;
      scored.scores = {};
      scored.question.reset();
      scored.speech = {};
      scored.row.reason = error.what();
    }
    return scored;
  }

 private:
  std::span<const double> TruthOf(const suite::SampleFolder& sample) const {
    const auto truth = ground_truth.find(sample.task);
    if (truth == ground_truth.end()) return {};
    const auto found = truth->second.find(sample.id);
    if (found == truth->second.end()) return {};
    return found->second;
  }

  void AddVerdicts(const suite::Task& task, const std::string& folder, const SampleInputs& inputs,
                   Scored& scored) const {
    if (task.judge.empty()) return;
    if (const auto recorded = RecordedVerdict(task, folder)) {
      AddVerdict(task, inputs.marks, *recorded, scored.scores);
      return;
    }
    if (!options.judges.contains(task.judge)) {
      AddNoVerdict(task, "not_judged", scored.scores);
      return;
    }
    std::string why_not;
    scored.question = QuestionFor(task, folder, inputs, scored.scores, why_not);
    if (!scored.question) AddNoVerdict(task, why_not, scored.scores);
  }

  void AddSpeaker(const suite::Task& task, const std::string& folder, SampleScores& scores) const {
    if (options.speaker == nullptr || task.Find("speaker_similarity") == nullptr) return;
    const base::Audio agent =
        audio::ReadAudio((fs::path(folder) / task.files.agent).string(), task.files.agent_channel);
    scores.Add(
        "speaker", "speaker_similarity",
        metrics::Scored::Of(torchscript::CosineSimilarity(voice, options.speaker->Embed(agent))));
  }
};

bool Wanted(const ScoreOptions& options, const std::string& task) {
  return options.tasks.empty() ||
         std::find(options.tasks.begin(), options.tasks.end(), task) != options.tasks.end();
}

Scorer Prepare(const suite::Suite& suite, const ScoreOptions& options) {
  Scorer scorer{suite, options, AudioAnalyst(*options.vad, options.cache_folder), {}, "", {}};
  for (size_t i = 0; i < suite.tasks.size(); ++i) {
    const suite::Task& task = suite.tasks[i];
    if (task.kind != TaskKind::kBackchannel || !Wanted(options, task.name)) continue;
    std::string path = options.ground_truth;
    if (path.empty() && !task.ground_truth.empty()) {
      path = (fs::path(options.root) / task.ground_truth).string();
      std::error_code ignored;
      if (!fs::exists(path, ignored)) continue;
    }
    if (path.empty()) continue;
    scorer.ground_truth[i] = ReadGroundTruth(path);
    scorer.ground_truth_sha256 = base::Sha256File(path);
  }
  if (options.speaker != nullptr) {
    scorer.voice = options.speaker->Embed(audio::ReadAudio(options.voice_prompt));
  }
  return scorer;
}

void AskJudges(const suite::Suite& suite, const ScoreOptions& options,
               std::span<const suite::SampleFolder> samples, std::vector<Scored>& scored) {
  for (const auto& [name, judge] : options.judges) {
    std::vector<size_t> asked;
    std::vector<judge::Question> questions;
    for (size_t i = 0; i < scored.size(); ++i) {
      if (!scored[i].question || suite.tasks[samples[i].task].judge != name) continue;
      asked.push_back(i);
      questions.push_back(*scored[i].question);
    }
    if (questions.empty()) continue;
    judge->CheckControls();
    const auto verdicts = judge->Ask(questions);
    for (size_t k = 0; k < asked.size(); ++k) {
      const suite::SampleFolder& sample = samples[asked[k]];
      Marks marks;
      marks.question_index = scored[asked[k]].scores.question_index;
      AddVerdict(suite.tasks[sample.task], marks, verdicts[k], scored[asked[k]].scores);
    }
  }
}

// fdb-exact: a latency of a user interruption counts only where there is a mark.
void RequireMark(const suite::Task& task, SampleScores& scores) {
  if (task.kind != TaskKind::kInterruption) return;
  const report::SampleValue* rating = scores.Find("judge", "judge_rating");
  if (rating == nullptr || rating->value || rating->status == "not_judged") return;
  for (report::SampleValue& value : scores.values) {
    if (value.scorer != "fdb-exact" || value.name != "response_latency_s" || !value.value) continue;
    value.value.reset();
    value.status = "no_judge_mark";
  }
}

Json SuiteContext(const suite::Suite& suite, const suite::FoundSamples& found,
                  const ScoreOptions& options) {
  Json counts = Json::object();
  for (size_t i = 0; i < suite.tasks.size(); ++i) {
    const suite::Task& task = suite.tasks[i];
    if (!Wanted(options, task.name)) continue;
    const auto n = std::count_if(found.samples.begin(), found.samples.end(),
                                 [&](const suite::SampleFolder& s) { return s.task == i; });
    Json& entry = counts[task.name];
    entry["samples"] = n;
    if (task.expected_samples) entry["published_samples"] = *task.expected_samples;
    if (!task.dataset.empty()) entry["dataset"] = task.dataset;
  }
  return {{"name", suite.id},       {"title", suite.name},    {"version", suite.version},
          {"source", suite.source}, {"sha256", suite.sha256}, {"tasks", counts}};
}

Json Context(const suite::Suite& suite, const suite::FoundSamples& found,
             const ScoreOptions& options) {
  const annotate::VadIdentity vad = options.vad->identity();
  Json context;
  context["suite"] = SuiteContext(suite, found, options);
  context["root"] = options.root;
  context["vad"] = {{"name", vad.name},
                    {"version", vad.version},
                    {"sha256", vad.sha256},
                    {"step_s", options.vad->step_s()}};
  context["vad"]["selftest"] = ToJson(DetectorErrorOf(*options.vad, options.cache_folder));
  context["statistics"] = {{"confidence", options.bootstrap.confidence},
                           {"resamples", options.bootstrap.resamples},
                           {"outliers", metrics::Name(options.outliers)},
                           {"seed", options.bootstrap.seed}};
  Json judges = Json::object();
  for (const auto& [name, judge] : options.judges) {
    const judge::JudgeStatistics& statistics = judge->statistics();
    judges[name] = {{"model", judge->model()},
                    {"version", judge->spec().version},
                    {"sha256", judge->spec().sha256},
                    {"ok", statistics.ok},
                    {"unparsable", statistics.unparsable},
                    {"failed", statistics.failed}};
  }
  context["judges"] = judges;
  if (options.speaker != nullptr) {
    context["speaker_model"] = {{"sha256", options.speaker->sha256()}};
  }
  return context;
}

// The one value that all samples share; null where none has one, "mixed" where they differ.
template <typename T, typename Get>
Json Shared(const std::vector<Scored>& scored, const Get& get) {
  std::set<T> values;
  for (const Scored& sample : scored) {
    if (!sample.row.scored) continue;
    if (const std::optional<T> value = get(sample.scores)) values.insert(*value);
  }
  if (values.empty()) return nullptr;
  return values.size() == 1 ? Json(*values.begin()) : Json("mixed");
}

// Transcripts and how the dialogues were made, as far as the files tell.
void AddOrigins(const std::vector<Scored>& scored, const ScoreOptions& options, Json& context) {
  const auto made = [](auto member) {
    return [member](const SampleScores& scores) {
      using Value = std::decay_t<decltype(std::declval<MadeWith>().*member)>;
      return scores.made_with ? std::optional<Value>((*scores.made_with).*member) : std::nullopt;
    };
  };
  context["lead_in_s"] = Shared<double>(scored, made(&MadeWith::lead_in_s));
  context["tail_s"] = Shared<double>(scored, made(&MadeWith::tail_s));
  context["alignment"] = Shared<std::string>(scored, made(&MadeWith::alignment));
  Json& transcripts = context["transcripts"];
  switch (options.transcripts.source) {
    case TranscriptSource::kNone:
      transcripts = {{"source", "none"}};
      break;
    case TranscriptSource::kAsr:
      transcripts = {{"source", "asr"},
                     {"name", options.transcripts.asr->identity().name},
                     {"command", options.transcripts.asr->identity().command},
                     {"version", options.transcripts.asr->identity().sha256}};
      break;
    case TranscriptSource::kFiles:
      transcripts = {{"source", "files"}};
      transcripts["name"] = Shared<std::string>(scored, [](const SampleScores& scores) {
        return scores.words_file.empty() ? std::nullopt : std::optional(scores.words_file);
      });
      // The text stream of the model and what an ASR heard are two things.
      transcripts["by"] = Shared<std::string>(scored, [](const SampleScores& scores) {
        return std::optional<std::string>(scores.made_with ? "model text stream" : "unknown");
      });
      break;
  }
}

report::Metric OffsetDistance(const suite::Task& task, const Pooled& pooled,
                              std::span<const double> reference_s) {
  report::Metric metric;
  metric.task = task.name;
  metric.scorer = "channel";
  metric.name = "floor_transfer_wasserstein_s";
  metric.unit = "s";
  metric.direction = report::Direction::kLowerIsBetter;
  const auto offsets = pooled.find({"channel", "floor_transfer_offset_s"});
  if (offsets != pooled.end() && !offsets->second.empty()) {
    metric.estimate.n = static_cast<int64_t>(offsets->second.size());
    metric.estimate.value = metrics::WassersteinDistance(offsets->second, reference_s);
  }
  return metric;
}

}  // namespace

report::Results Score(const suite::Suite& suite, const ScoreOptions& options) {
  suite::FoundSamples found = suite::FindSamples(suite, options.root);
  for (const std::string& name : options.tasks) {
    const bool known = std::any_of(suite.tasks.begin(), suite.tasks.end(),
                                   [&](const suite::Task& task) { return task.name == name; });
    if (!known) base::ThrowUsage(fmt::format("{} has no task '{}'", suite.path, name));
  }
  std::erase_if(found.samples, [&](const suite::SampleFolder& sample) {
    return !Wanted(options, suite.tasks[sample.task].name);
  });
  const Scorer scorer = Prepare(suite, options);

  std::vector<Scored> scored(found.samples.size());
  options.progress->Begin("scoring", static_cast<int64_t>(scored.size()));
  ForEachInParallel(
      scored.size(), options.threads, options.cancel,
      [&](size_t i) { scored[i] = scorer.ScoreOne(found.samples[i]); },
      [&](size_t n) { options.progress->Update(static_cast<int64_t>(n)); });
  options.progress->End();
  AskJudges(suite, options, found.samples, scored);

  report::Results results;
  for (size_t i = 0; i < scored.size(); ++i) {
    RequireMark(suite.tasks[found.samples[i].task], scored[i].scores);
    scored[i].row.values = scored[i].scores.values;
    results.samples.push_back(scored[i].row);
  }
  const auto references = suite.references.empty() ? std::vector<suite::ReferenceValue>()
                                                   : suite::LoadReferences(suite.references);
  for (size_t t = 0; t < suite.tasks.size(); ++t) {
    const suite::Task& task = suite.tasks[t];
    std::vector<report::SampleRow> rows;
    std::vector<SpeechChange> speech;
    Pooled pooled;
    for (size_t i = 0; i < scored.size(); ++i) {
      if (found.samples[i].task != t) continue;
      rows.push_back(results.samples[i]);
      speech.push_back(scored[i].speech);
      for (const auto& [key, values] : scored[i].scores.pooled) {
        pooled[key].insert(pooled[key].end(), values.begin(), values.end());
      }
    }
    if (rows.empty()) continue;
    for (report::Metric& metric : Aggregate(task, rows, pooled, references, options.bootstrap)) {
      results.metrics.push_back(std::move(metric));
    }
    if (task.Find("floor_transfer_offset_s") != nullptr && !options.reference_offsets_s.empty()) {
      results.metrics.push_back(OffsetDistance(task, pooled, options.reference_offsets_s));
    }
    if (task.kind == TaskKind::kOverlap) {
      AddSpeechTests(task.name, speech, options.outliers, results.paired_tests);
    }
  }
  AdjustForAll(results.paired_tests);
  results.context = Context(suite, found, options);
  if (!scorer.ground_truth_sha256.empty()) {
    results.context["ground_truth"] = {{"sha256", scorer.ground_truth_sha256}};
  }
  AddOrigins(scored, options, results.context);
  return results;
}

}  // namespace ppx::evaluate
