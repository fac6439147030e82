// lib/judge/answer.h: a judge's verdict, found in the text of its answer.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "judge/judge_spec.h"

namespace ppx::judge {

struct Answer {
  bool ok = false;
  std::map<std::string, int> scores;  // of kScore
  std::string label;                  // of kLabel
  std::string reason;                 // why not ok, one line
};

// Takes the first well-formed JSON object in `text` that has every field of `spec` with a value it
// may have: a whole number on the scale (4 and 4.0, not "4"), or exactly one of the labels. Text
// around it, further fields, and objects without the fields are passed over; an object that names
// a field twice is not taken. Never throws for what `text` may be. An answer of more than 64 KiB,
// or with more than 256 opening braces before the object, is not read further.
Answer ParseAnswer(const JudgeSpec& spec, std::string_view text);

// At most `max_bytes` of `text` on one line, for messages: control characters become blanks, what
// is not UTF-8 becomes U+FFFD, no character is cut, "..." shows that something is missing.
std::string Excerpt(std::string_view text, size_t max_bytes = 200);

}  // namespace ppx::judge
