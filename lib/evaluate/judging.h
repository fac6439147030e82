// lib/evaluate/judging.h: what a judge is asked about a sample, and what its verdict is worth.
#pragma once

#include <optional>
#include <string>

#include "evaluate/sample_inputs.h"
#include "evaluate/sample_scores.h"
#include "judge/judge.h"
#include "suite/suite.h"

namespace ppx::evaluate {

// The verdict that the benchmark's own scripts left beside the sample, if they did.
std::optional<judge::Verdict> RecordedVerdict(const suite::Task& task, const std::string& folder);

// The question, with a value for every placeholder of the task's kind:
//   interruption      context, interrupt, reply; no value without a takeover
//   overlap           input, clean_input, output, clean_output
//   service_question  role_prompt, question, reply
// Also keeps the sample's question index in `scores`. `why_not` receives the status where there is
// no question: "no_takeover", "no_transcript". Throws base::Error (kBadInput) for a transcript that
// is damaged.
std::optional<judge::Question> QuestionFor(const suite::Task& task, const std::string& folder,
                                           const SampleInputs& inputs, SampleScores& scores,
                                           std::string& why_not);

// judge_rating; behaviour_respond and its like; judge_naturalness, judge_adherence, judge_mean and
// the latter by question (judge_mean_q0 ...).
void AddVerdict(const suite::Task& task, const Marks& marks, const judge::Verdict& verdict,
                SampleScores& scores);
// The same without a verdict; `status` says why.
void AddNoVerdict(const suite::Task& task, const std::string& status, SampleScores& scores);

}  // namespace ppx::evaluate
