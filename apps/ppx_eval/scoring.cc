#include "ppx_eval/scoring.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <filesystem>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "annotate/asr_command.h"
#include "base/atomic_file.h"
#include "base/command_template.h"
#include "base/small_file.h"
#include "common/console.h"
#include "common/program.h"
#include "common/toolkit_files.h"
#include "common/version.h"
#include "evaluate/score.h"
#include "judge/chat_client.h"
#include "judge/judge.h"
#include "judge/verdict_cache.h"
#include "report/csv.h"
#include "report/results_json.h"
#include "report/table.h"
#include "torchscript/speaker_embedding.h"

namespace ppx::app {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

// The judges that the suite asks for, with what they need to live.
struct Judges {
  std::unique_ptr<judge::ChatClient> client;
  std::unique_ptr<judge::VerdictCache> cache;
  std::map<std::string, std::unique_ptr<judge::Judge>> by_name;
};

Judges MakeJudges(const ScoringOptions& options, const suite::Suite& suite,
                  const std::string& cache, base::Progress& progress) {
  Judges judges;
  if (options.judge_url.empty()) return judges;
  judge::ChatOptions chat;
  chat.base_url = options.judge_url;
  chat.key_variable = options.judge_key_variable;
  chat.requests_per_minute = options.judge_per_minute;
  chat.max_concurrent = options.judge_concurrent;
  chat.total_timeout_s = options.judge_timeout_s;
  chat.max_retries = options.judge_retries;
  if (options.judge_prices.size() == 2) {
    chat.prices = judge::Prices{options.judge_prices[0], options.judge_prices[1]};
  }
  chat.cancel = &Interrupted();
  judges.client = std::make_unique<judge::ChatClient>(chat);
  if (!cache.empty()) {
    judges.cache = std::make_unique<judge::VerdictCache>((fs::path(cache) / "verdicts").string());
  }
  for (const suite::Task& task : suite.tasks) {
    if (task.judge.empty() || judges.by_name.contains(task.judge)) continue;
    judge::JudgeOptions judge;
    judge.model = options.judge_model;
    judge.progress = &progress;
    judges.by_name[task.judge] =
        std::make_unique<judge::Judge>(judge::LoadJudgeSpec(FindOwnFile(task.judge, "eval/judges")),
                                       *judges.client, judges.cache.get(), judge);
  }
  return judges;
}

std::vector<double> ReadOffsets(const std::string& path) {
  if (path.empty()) return {};
  constexpr size_t kMaxBytes = size_t{64} << 20;
  try {
    auto offsets = Json::parse(base::ReadSmallFile(path, kMaxBytes, "a JSON list of seconds"))
                       .get<std::vector<double>>();
    if (offsets.empty()) base::ThrowBadInput(path + ": an empty list");
    return offsets;
  } catch (const Json::exception&) {
    base::ThrowBadInput(path + ": expected a JSON list of floor transfer offsets in seconds");
  }
}

void CheckOutputs(const ScoringOptions& options) {
  for (const std::string* path : {&options.output, &options.csv, &options.markdown}) {
    if (!path->empty()) base::CheckWritable(*path);
  }
}

void AddOwnContext(const ScoringOptions& options, const Judges& judges, report::Results& results) {
  results.context["program"] = "ppx-eval";
  results.context["version"] = kVersion;
  results.context["commit"] = kCommit;
  if (options.lead_in_s) results.context["lead_in_s"] = *options.lead_in_s;
  if (options.tail_s) results.context["tail_s"] = *options.tail_s;
  if (!options.alignment.empty()) results.context["alignment"] = options.alignment;
  for (const auto& [name, judge] : judges.by_name) {
    results.context["judges"][name]["url"] = judges.client->base_url();
  }
}

void SayJudging(const Judges& judges) {
  for (const auto& [name, judge] : judges.by_name) {
    const judge::JudgeStatistics& s = judge->statistics();
    if (s.questions == 0) continue;
    fmt::print(stderr,
               "judge {}: {} questions, {} asked, {} from the cache, {} tokens in, {} out{}\n",
               name, s.questions, s.asked, s.cached, s.tokens_in, s.tokens_out,
               s.cost ? fmt::format(", cost {:.4f}", *s.cost) : "");
    if (s.not_cached > 0) Warn("verdicts could not be cached: " + s.not_cached_reason);
  }
}

}  // namespace

void AddScoringOptions(CLI::App& app, ScoringOptions& options) {
  app.add_option("--task", options.tasks, "This task only; may be given again")->delimiter(',');
  app.add_option(
      "--ground-truth", options.ground_truth,
      "Backchannel ground truth (icc_gt_distribution.json); default: under the samples' root");
  app.add_option("--threads", options.threads, "Files at once; 0: one a processor")
      ->check(CLI::NonNegativeNumber);

  const char* output = "Output";
  app.add_option("-o,--output", options.output, "Results, JSON (eval/schema/results.schema.json)")
      ->group(output);
  app.add_option("--csv", options.csv, "One line a sample and value")->group(output);
  app.add_option("--markdown", options.markdown, "The table in Markdown")->group(output);
  app.add_flag("--json", options.json, "Results on standard output, in place of the table")
      ->group(output);
  app.add_flag("-q,--quiet", options.quiet, "No table and no progress")->group(output);

  const char* words = "Transcripts";
  app.add_option("--transcripts", options.transcripts,
                 "auto: the first file that the suite names and that is there; NAME: this file of "
                 "each sample; none: score without")
      ->capture_default_str()
      ->group(words);
  app.add_option(
         "--asr", options.asr,
         "Transcribe with this program instead: its command line with {wav}, and {json} for "
         "the file it writes (else it prints the JSON); no shell is involved")
      ->group(words);
  app.add_option("--asr-timeout", options.asr_timeout_s, "Seconds for one file")
      ->check(CLI::PositiveNumber)
      ->capture_default_str()
      ->group(words);

  app.add_flag("--write-transcripts", options.write_transcripts,
               "Leave what --asr heard as output.json in each sample that has none")
      ->group(words);

  AddDetectorOptions(app, options.detector);
  AddCacheOptions(app, options.detector);

  const char* statistics = "Statistics";
  app.add_option("--confidence", options.bootstrap.confidence, "Of all intervals")
      ->check(CLI::Range(0.5, 0.9999))
      ->capture_default_str()
      ->group(statistics);
  app.add_option("--resamples", options.bootstrap.resamples, "Of the bootstrap")
      ->check(CLI::Range(100, 10'000'000))
      ->capture_default_str()
      ->group(statistics);
  app.add_option("--seed", options.bootstrap.seed, "Of the bootstrap")
      ->capture_default_str()
      ->group(statistics);
  app.add_option("--outliers", options.outliers, "Rule of the paired tests of v1.5")
      ->check(CLI::IsMember({"mad", "iqr", "none"}))
      ->capture_default_str()
      ->group(statistics);
  app.add_option("--reference-offsets", options.reference_offsets,
                 "JSON list of floor transfer offsets in seconds, to measure the distance to")
      ->group(statistics);

  const char* judge = "Judge (an OpenAI-compatible endpoint)";
  app.add_option("--judge-url", options.judge_url,
                 "Base address, such as https://api.openai.com/v1; without it only recorded "
                 "verdicts count")
      ->group(judge);
  app.add_option("--judge-model", options.judge_model, "Default: the one of the judge's file")
      ->group(judge);
  app.add_option("--judge-key-env", options.judge_key_variable,
                 "Environment variable that holds the key, such as OPENAI_API_KEY; default: no key")
      ->group(judge);
  app.add_option("--judge-per-minute", options.judge_per_minute, "Most requests a minute; 0: any")
      ->check(CLI::NonNegativeNumber)
      ->group(judge);
  app.add_option("--judge-concurrent", options.judge_concurrent, "Requests at once")
      ->check(CLI::Range(1, 256))
      ->capture_default_str()
      ->group(judge);
  app.add_option("--judge-timeout", options.judge_timeout_s, "Seconds for one request")
      ->check(CLI::PositiveNumber)
      ->capture_default_str()
      ->group(judge);
  app.add_option("--judge-retries", options.judge_retries,
                 "How often a request is sent again that failed for a reason that may pass")
      ->check(CLI::Range(0, 100))
      ->capture_default_str()
      ->group(judge);
  app.add_option("--judge-prices", options.judge_prices,
                 "Price of a million tokens in and out, for the cost")
      ->expected(2)
      ->group(judge);

  const char* speaker = "Speaker similarity";
  app.add_option("--speaker-model", options.speaker_model,
                 "TorchScript model of speaker embeddings (scripts/export-speaker-model)")
      ->group(speaker);
  app.add_option("--voice-prompt", options.voice_prompt, "WAV of the voice the agent was given")
      ->group(speaker);
}

void AddOriginOptions(CLI::App& app, ScoringOptions& options) {
  const char* made = "How the dialogues were made (recorded; default: from their run.json)";
  app.add_option("--lead-in", options.lead_in_s, "Seconds of silence before the recording")
      ->group(made);
  app.add_option("--tail", options.tail_s, "Seconds of silence after it")->group(made);
  app.add_option("--alignment", options.alignment, "stream or live")
      ->check(CLI::IsMember({"stream", "live"}))
      ->group(made);
}

// `score` points to the others.
struct Scoring::Parts {
  ProgressBar bar{0};
  base::NoProgress silence;
  suite::Suite suite;
  std::unique_ptr<annotate::Vad> vad;
  Judges judges;
  std::unique_ptr<annotate::AsrCommand> asr;
  std::unique_ptr<torchscript::SpeakerModel> speaker;
  evaluate::ScoreOptions score;
};

Scoring::Scoring(const ScoringOptions& options)
    : options_(options), parts_(std::make_unique<Parts>()) {
  CheckOutputs(options);
  parts_->suite = suite::LoadSuite(FindOwnFile(options.suite, "eval"));
  const std::string cache = CacheFolder(options.detector);
  parts_->vad = MakeVad(options.detector);
  base::Progress& progress = options.quiet ? static_cast<base::Progress&>(parts_->silence)
                                           : static_cast<base::Progress&>(parts_->bar);
  parts_->judges = MakeJudges(options, parts_->suite, cache, progress);

  evaluate::ScoreOptions& score = parts_->score;
  score.tasks = options.tasks;
  score.vad = parts_->vad.get();
  score.cache_folder = cache;
  score.threads = options.threads;
  score.bootstrap = options.bootstrap;
  score.ground_truth = options.ground_truth;
  score.outliers = *metrics::OutlierRuleFromName(options.outliers);
  score.reference_offsets_s = ReadOffsets(options.reference_offsets);
  score.progress = &progress;
  score.cancel = &Interrupted();
  for (const auto& [name, judge] : parts_->judges.by_name) score.judges[name] = judge.get();

  if (options.write_transcripts && options.asr.empty()) {
    base::ThrowUsage("--write-transcripts needs --asr");
  }
  if (!options.asr.empty()) {
    annotate::AsrOptions recogniser;
    recogniser.command = base::SplitCommand(options.asr, "--asr");
    recogniser.timeout_s = options.asr_timeout_s;
    if (!cache.empty()) recogniser.cache_folder = (fs::path(cache) / "transcripts").string();
    parts_->asr = std::make_unique<annotate::AsrCommand>(recogniser);
    score.transcripts = {evaluate::TranscriptSource::kAsr, "", parts_->asr.get(),
                         options.write_transcripts};
  } else if (options.transcripts == "none") {
    score.transcripts.source = evaluate::TranscriptSource::kNone;
  } else if (options.transcripts != "auto") {
    score.transcripts.file = options.transcripts;
  }

  if (options.speaker_model.empty() != options.voice_prompt.empty()) {
    base::ThrowUsage("--speaker-model and --voice-prompt need each other");
  }
  if (!options.speaker_model.empty()) {
    parts_->speaker = std::make_unique<torchscript::SpeakerModel>(options.speaker_model);
    score.speaker = parts_->speaker.get();
    score.voice_prompt = options.voice_prompt;
  }
}

Scoring::~Scoring() = default;

report::Results Scoring::Score(const std::string& root) const {
  evaluate::ScoreOptions score = parts_->score;
  score.root = root;
  report::Results results = evaluate::Score(parts_->suite, score);
  AddOwnContext(options_, parts_->judges, results);
  const std::string bytes = report::ToJson(results);
  if (!options_.output.empty()) base::WriteFileAtomically(options_.output, bytes);
  if (!options_.csv.empty()) base::WriteFileAtomically(options_.csv, report::ToCsv(results));
  if (!options_.markdown.empty()) {
    base::WriteFileAtomically(options_.markdown, report::ToMarkdown(results));
  }
  if (options_.json) {
    std::cout << bytes << std::flush;
  } else if (!options_.quiet) {
    std::cout << report::ToTable(results) << std::flush;
  }
  if (!options_.quiet) SayJudging(parts_->judges);
  if (const int64_t broken = results.broken_samples(); broken > 0) {
    Warn(fmt::format("{} of {} samples could not be scored", broken, results.samples.size()));
  }
  return results;
}

base::ExitCode ExitCodeOf(const report::Results& results) {
  return results.broken_samples() > 0 ? base::ExitCode::kItemsFailed : base::ExitCode::kOk;
}

}  // namespace ppx::app
