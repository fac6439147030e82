#include "judge/judge.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "base/error.h"
#include "judge/answer.h"

namespace ppx::judge {
namespace {

// Threads begun while this lives leave the program's signals to the others, and a connection that
// the peer closed is an error of that connection.
class BlockedSignals {
 public:
  BlockedSignals() {
    sigset_t signals;
    sigemptyset(&signals);
    for (const int signal : {SIGPIPE, SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, signal);
    pthread_sigmask(SIG_BLOCK, &signals, &before_);
  }
  ~BlockedSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;

 private:
  sigset_t before_{};
};

bool Meets(const Control& control, const Verdict& verdict) {
  if (verdict.status != VerdictStatus::kOk) return false;
  if (!control.labels.empty()) {
    return std::find(control.labels.begin(), control.labels.end(), verdict.label) !=
           control.labels.end();
  }
  return std::all_of(control.scores.begin(), control.scores.end(), [&](const auto& expected) {
    const int mark = verdict.scores.at(expected.first);
    return mark >= expected.second.lowest && mark <= expected.second.highest;
  });
}

std::string Expected(const Control& control) {
  if (!control.labels.empty()) return fmt::format("{}", fmt::join(control.labels, " or "));
  std::vector<std::string> parts;
  for (const auto& [field, range] : control.scores) {
    parts.push_back(range.lowest == range.highest
                        ? fmt::format("{} {}", field, range.lowest)
                        : fmt::format("{} {} to {}", field, range.lowest, range.highest));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string Got(const Verdict& verdict) {
  if (verdict.status != VerdictStatus::kOk) return verdict.reason;
  if (!verdict.label.empty()) return verdict.label;
  std::vector<std::string> parts;
  for (const auto& [field, mark] : verdict.scores)
    parts.push_back(fmt::format("{} {}", field, mark));
  return fmt::format("{}", fmt::join(parts, ", "));
}

}  // namespace

const char* StatusName(VerdictStatus status) {
  switch (status) {
    case VerdictStatus::kOk:
      return "ok";
    case VerdictStatus::kUnparsable:
      return "unparsable";
    case VerdictStatus::kFailed:
      break;
  }
  return "failed";
}

// One question on its way to its verdict.
struct Judge::Item {
  std::string body;  // empty where the question could not be put
  Verdict verdict;
  int requests = 0;
  int without_usage = 0;
  std::string not_cached;  // why the answer could not be kept
};

// What the threads of one call share.
struct Judge::Run {
  std::atomic<size_t> next{0};
  std::atomic<bool> stop{false};
  std::mutex mutex;  // of everything below, and of calls to the progress
  std::string refusal;
  std::exception_ptr interruption;
  int64_t done = 0;
};

Judge::Judge(JudgeSpec spec, ChatClient& client, const VerdictCache* cache, JudgeOptions options)
    : spec_(std::move(spec)),
      client_(client),
      cache_(cache),
      options_(std::move(options)),
      model_(options_.model.empty() ? spec_.model : options_.model) {
  if (options_.unparsable_retries < 0) {
    base::ThrowUsage("the judge's number of retries of unparsable answers must be 0 or more");
  }
  statistics_.cost = client_.Cost(0, 0);
}

void Judge::CheckControls() {
  std::vector<Question> questions;
  for (const Control& control : spec_.controls) questions.push_back({control.values});
  std::string refusal;
  const std::vector<Verdict> verdicts = AskAll(questions, refusal);
  if (!refusal.empty()) base::ThrowUsage(refusal);
  for (size_t i = 0; i < verdicts.size(); ++i) {
    const Control& control = spec_.controls[i];
    const Verdict& verdict = verdicts[i];
    if (Meets(control, verdict)) continue;
    if (verdict.status == VerdictStatus::kFailed) {
      base::ThrowResource(
          fmt::format("judge {}, control '{}': {}", spec_.name, control.name, verdict.reason));
    }
    std::string again;
    if (verdict.from_cache && cache_ != nullptr) {
      again = fmt::format("; this answer is an earlier one, remove {} to have it asked again",
                          cache_->PathOf(ForCache(Prepare(questions[i]))));
    }
    base::ThrowBadInput(fmt::format(
        "{}: the judge {} fails the control '{}': expected {}, got {}; use another model{}",
        spec_.path, model_, control.name, Expected(control), Got(verdict), again));
  }
}

std::vector<Verdict> Judge::Ask(std::span<const Question> questions) {
  std::string refusal;
  return AskAll(questions, refusal);
}

std::vector<Verdict> Judge::AskAll(std::span<const Question> questions, std::string& refusal) {
  std::vector<Item> items;
  items.reserve(questions.size());
  std::vector<size_t> pending;
  std::map<std::string, size_t> first_of_body;
  std::vector<size_t> source(questions.size());  // the item whose verdict this one has
  for (size_t i = 0; i < questions.size(); ++i) {
    items.push_back(Prepare(questions[i]));
    Item& item = items.back();
    source[i] = i;
    if (item.body.empty()) continue;
    source[i] = first_of_body.emplace(item.body, i).first->second;
    if (source[i] != i) continue;
    const auto cached = cache_ != nullptr ? cache_->Find(ForCache(item)) : std::nullopt;
    if (cached) {
      item.verdict = Read(*cached, /*from_cache=*/true);
    } else {
      pending.push_back(i);
    }
  }

  Run run;
  AskServer(items, pending, run);

  std::vector<Verdict> verdicts;
  verdicts.reserve(items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    verdicts.push_back(items[source[i]].verdict);
    if (source[i] != i) verdicts[i].from_cache = verdicts[i].status != VerdictStatus::kFailed;
    ++statistics_.questions;
    if (verdicts[i].from_cache) ++statistics_.cached;
    if (verdicts[i].status == VerdictStatus::kOk) ++statistics_.ok;
    if (verdicts[i].status == VerdictStatus::kUnparsable) ++statistics_.unparsable;
    if (verdicts[i].status == VerdictStatus::kFailed) ++statistics_.failed;
  }
  if (run.interruption) std::rethrow_exception(run.interruption);
  refusal = run.refusal;
  return verdicts;
}

Judge::Item Judge::Prepare(const Question& question) const {
  Item item;
  try {
    item.body = ChatRequestBody(model_, spec_.temperature, spec_.max_tokens,
                                RenderPrompt(spec_.system, question.values),
                                RenderPrompt(spec_.user, question.values));
  } catch (const base::Error& error) {
    item.verdict.reason = error.what();
  }
  return item;
}

void Judge::AskServer(std::vector<Item>& items, const std::vector<size_t>& pending, Run& run) {
  if (options_.progress != nullptr) {
    options_.progress->Begin("judge " + spec_.name, static_cast<int64_t>(pending.size()));
  }
  const size_t wanted = std::min(pending.size(), static_cast<size_t>(client_.max_concurrent()));
  std::vector<std::jthread> threads;
  try {
    const BlockedSignals blocked;
    while (threads.size() < wanted) {
      threads.emplace_back([&] { Work(items, pending, run); });
    }
  } catch (const std::system_error&) {
    if (threads.empty()) {
      base::ThrowResource("no thread can be started to ask the judge; check `ulimit -u`");
    }
  }
  threads.clear();  // waits for them
  if (options_.progress != nullptr) options_.progress->End();

  // Added up here, in the order of the questions.
  for (const size_t i : pending) {
    Item& item = items[i];
    if (item.requests == 0) continue;
    ++statistics_.asked;
    statistics_.requests += item.requests;
    statistics_.retried += item.requests - 1;
    statistics_.tokens_in += item.verdict.tokens_in;
    statistics_.tokens_out += item.verdict.tokens_out;
    statistics_.without_usage += item.without_usage;
    if (!item.not_cached.empty()) {
      ++statistics_.not_cached;
      if (statistics_.not_cached_reason.empty()) statistics_.not_cached_reason = item.not_cached;
    }
  }
  statistics_.cost = client_.Cost(statistics_.tokens_in, statistics_.tokens_out);
}

void Judge::Work(std::vector<Item>& items, const std::vector<size_t>& pending, Run& run) {
  for (size_t i = run.next++; i < pending.size(); i = run.next++) {
    Item& item = items[pending[i]];
    if (run.stop) {
      const std::lock_guard lock(run.mutex);
      item.verdict.reason = run.refusal;
      continue;
    }
    try {
      AskOne(item, run);
    } catch (const base::Error& error) {
      item.verdict.reason = error.what();
      if (error.code() == base::ErrorCode::kInterrupted) {
        const std::lock_guard lock(run.mutex);
        run.interruption = std::current_exception();
        run.stop = true;
      }
    } catch (const std::exception& error) {
      item.verdict.reason = error.what();
    }
    const std::lock_guard lock(run.mutex);
    ++run.done;
    if (options_.progress != nullptr) options_.progress->Update(run.done);
  }
}

void Judge::AskOne(Item& item, Run& run) const {
  CachedAnswer answer;
  for (int ask = 0; ask <= options_.unparsable_retries; ++ask) {
    const ChatReply reply = client_.Complete(item.body);
    item.requests += reply.requests;
    if (reply.status != ChatReply::Status::kOk) {
      // An answer of no use that came before is still an answer, but the failure is why there is
      // no better one.
      item.verdict = Verdict{};
      item.verdict.reason = reply.reason;
      item.verdict.tokens_in = answer.tokens_in;
      item.verdict.tokens_out = answer.tokens_out;
      if (reply.status == ChatReply::Status::kRefused) {
        const std::lock_guard lock(run.mutex);
        if (run.refusal.empty()) run.refusal = reply.reason;
        run.stop = true;
      }
      return;
    }
    if (!reply.tokens_in || !reply.tokens_out) ++item.without_usage;
    answer.tokens_in += reply.tokens_in.value_or(0);
    answer.tokens_out += reply.tokens_out.value_or(0);
    answer.content = reply.content;
    answer.finish_reason = reply.finish_reason;
    item.verdict = Read(answer, /*from_cache=*/false);
    if (item.verdict.status == VerdictStatus::kOk) break;
  }
  if (cache_ == nullptr) return;
  try {
    cache_->Store(ForCache(item), client_.base_url(), answer);
  } catch (const base::Error& error) {  // the verdict stands all the same
    item.not_cached = error.what();
  }
}

CacheRequest Judge::ForCache(const Item& item) const {
  return {spec_.name, spec_.version, item.body};
}

Verdict Judge::Read(const CachedAnswer& answer, bool from_cache) const {
  Answer read = ParseAnswer(spec_, answer.content);
  Verdict verdict;
  verdict.status = read.ok ? VerdictStatus::kOk : VerdictStatus::kUnparsable;
  verdict.scores = std::move(read.scores);
  verdict.label = std::move(read.label);
  verdict.reason = std::move(read.reason);
  if (!read.ok && answer.finish_reason == "length") {
    verdict.reason += fmt::format("; it was cut at max_tokens, {}", spec_.max_tokens);
  }
  verdict.raw_answer = answer.content;
  verdict.tokens_in = answer.tokens_in;
  verdict.tokens_out = answer.tokens_out;
  verdict.from_cache = from_cache;
  return verdict;
}

}  // namespace ppx::judge
