// lib/judge/verdict.h: what a judge said about one question. Plain data.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace ppx::judge {

enum class VerdictStatus {
  kOk,          // `scores` or `label` hold the verdict
  kUnparsable,  // an answer came, but no verdict could be read in it
  kFailed       // no answer came, or the question could not be put
};

struct Verdict {
  VerdictStatus status = VerdictStatus::kFailed;
  std::map<std::string, int> scores;  // by field, of judges that mark; empty unless kOk
  std::string label;                  // of judges that choose a label; empty unless kOk
  std::string raw_answer;             // as it came; empty where none came
  std::string reason;                 // one line: why there is no verdict; empty where kOk
  // What the answer cost when it was asked for, all tries together; 0 where the server did not say.
  int64_t tokens_in = 0;
  int64_t tokens_out = 0;
  bool from_cache = false;  // nothing was asked for it in this run
};

// "ok", "unparsable", "failed".
const char* StatusName(VerdictStatus status);

}  // namespace ppx::judge
