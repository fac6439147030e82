// lib/judge/judge.h: puts questions to a judge and reads its verdicts.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/progress.h"
#include "judge/chat_client.h"
#include "judge/judge_spec.h"
#include "judge/verdict.h"
#include "judge/verdict_cache.h"

namespace ppx::judge {

struct Question {
  // A value for every placeholder of the judge; others are ignored.
  std::map<std::string, std::string> values;
};

struct JudgeOptions {
  std::string model;           // empty: the one of the judge's file
  int unparsable_retries = 2;  // how often a question is put again after an answer of no use
  base::Progress* progress = nullptr;  // may be null; called by one thread at a time
};

// Of one Judge, from its construction on.
struct JudgeStatistics {
  int64_t questions = 0;  // put to the judge, controls included
  int64_t asked = 0;      // of them, sent to the server
  int64_t cached = 0;     // of them, answered from the cache or by an equal question of the run
  int64_t ok = 0;         // verdicts by status; these three add up to `questions`
  int64_t unparsable = 0;
  int64_t failed = 0;
  int64_t requests = 0;   // sent
  int64_t retried = 0;    // of them, sent again, for whatever reason
  int64_t tokens_in = 0;  // spent now: what came from the cache costs nothing
  int64_t tokens_out = 0;
  int64_t without_usage = 0;      // answers whose tokens the server did not say: not in the sums
  std::optional<double> cost;     // of these tokens; no value without prices
  int64_t not_cached = 0;         // answers that could not be written into the cache
  std::string not_cached_reason;  // the first reason
};

class Judge {
 public:
  // `client` and `cache` must live as long as the judge; `cache` may be null.
  // Throws base::Error (kUsage) for a negative number of retries.
  Judge(JudgeSpec spec, ChatClient& client, const VerdictCache* cache, JudgeOptions options = {});

  // Asks the control cases. Throws base::Error:
  //  kBadInput     the judge gets one wrong, or gives no verdict: it is not to be used. The message
  //                names the control, what was expected and what came
  //  kUsage        the server refuses: key, address or model are wrong
  //  kResource     the server cannot be reached or fails
  //  kInterrupted  the client was cancelled
  void CheckControls();

  // One verdict for each question, in their order whatever the order of answers. At most
  // client.max_concurrent() are asked at once; equal questions are asked once. A question that
  // cannot be put or answered is a verdict with a status and a reason. Once the server refuses
  // (ChatReply::kRefused) nothing more is asked, and what is left has failed for that reason.
  // Throws base::Error: kInterrupted when cancelled (answers that came are in the cache), kResource
  // where not even one thread can be started. Not to be called by two threads at once.
  std::vector<Verdict> Ask(std::span<const Question> questions);

  const JudgeSpec& spec() const { return spec_; }
  const std::string& model() const { return model_; }
  const JudgeStatistics& statistics() const { return statistics_; }

 private:
  struct Item;
  struct Run;

  Item Prepare(const Question& question) const;
  void AskServer(std::vector<Item>& items, const std::vector<size_t>& pending, Run& run);
  void Work(std::vector<Item>& items, const std::vector<size_t>& pending, Run& run);
  void AskOne(Item& item, Run& run) const;
  CacheRequest ForCache(const Item& item) const;
  Verdict Read(const CachedAnswer& answer, bool from_cache) const;
  std::vector<Verdict> AskAll(std::span<const Question> questions, std::string& refusal);

  JudgeSpec spec_;
  ChatClient& client_;
  const VerdictCache* cache_;
  JudgeOptions options_;
  std::string model_;
  JudgeStatistics statistics_;
};

}  // namespace ppx::judge
