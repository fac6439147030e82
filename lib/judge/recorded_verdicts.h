// lib/judge/recorded_verdicts.h: verdicts that FullDuplexBench's own scripts left beside a sample.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "judge/judge_spec.h"
#include "judge/verdict.h"

namespace ppx::judge {

// Both return no value where there is no such file, and never throw for what is in it: a file that
// cannot be read is kFailed, one without a verdict kUnparsable, each with a reason that names it.
// `raw_answer` is the file's text; tokens are 0 and `from_cache` is true.

// rating.json of v1.0: {"analysis": text, "rating": mark}. The mark is a whole number on the scale,
// or a text that is one; null and everything else is no verdict. It becomes `scores[field]`.
std::optional<Verdict> ReadRecordedRating(const std::string& path, const std::string& field,
                                          const ScoreRange& scale = {0, 5});

// content_tag.json of v1.5: one JSON object, or a list of one. Its keys differ between versions, so
// the label is found by its value: among all texts in the object, in lists and objects inside it
// too, exactly one of `labels` must occur, as the whole text (blanks around it aside). A label that
// is only mentioned within a longer text does not count.
std::optional<Verdict> ReadRecordedLabel(const std::string& path,
                                         std::span<const std::string> labels);

}  // namespace ppx::judge
