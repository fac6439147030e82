#include "batch/merge.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <system_error>
#include <unordered_map>

#include "base/atomic_file.h"
#include "base/error.h"
#include "batch/journal.h"

namespace ppx::batch {
namespace {

namespace fs = std::filesystem;

// The last word on one dialogue.
struct Word {
  bool in_plan = false;  // done under the plan's key
  bool done = false;
  int64_t seq = -1;
  std::string text;
};

bool Outranks(const Word& a, const Word& b) {
  if (a.in_plan != b.in_plan) return a.in_plan;
  if (a.done != b.done) return a.done;
  return a.seq > b.seq;
}

void Collect(const Ledger& ledger, const std::unordered_map<std::string, std::string>& key_of,
             std::map<std::string, Word>& words) {
  for (const auto& [id, record] : ledger.records()) {
    Word word;
    if (const DoneEntry* done = ledger.Done(id)) {
      const auto planned = key_of.find(id);
      word = {planned != key_of.end() && planned->second == done->key, true, record.done_seq,
              DoneText(record.done_seq, *done)};
    } else if (const FailedEntry* failed = ledger.Failed(id)) {
      word = {false, false, record.failed_seq, FailedText(record.failed_seq, *failed)};
    } else {
      continue;
    }
    const auto [place, fresh] = words.try_emplace(id, word);
    if (!fresh && Outranks(word, place->second)) place->second = std::move(word);
  }
}

}  // namespace

MergeReport FindGaps(const Plan& plan, const Ledger& ledger) {
  MergeReport report;
  report.journals = static_cast<int64_t>(ledger.paths().size());
  report.damage = ledger.damage();
  report.planned = static_cast<int64_t>(plan.size());
  int64_t all_done = 0;
  for (const auto& [id, record] : ledger.records()) all_done += ledger.Done(id) != nullptr;
  int64_t done_in_plan = 0;
  for (const PlannedDialogue& dialogue : plan) {
    const DoneEntry* done = ledger.Done(dialogue.id);
    done_in_plan += done != nullptr;
    if (done != nullptr && done->key == dialogue.key) {
      ++report.done;
      continue;
    }
    const FailedEntry* failed = ledger.Failed(dialogue.id);
    if (failed != nullptr && failed->key == dialogue.key) {
      report.gaps.push_back({dialogue.id, "failed: " + failed->error});
    } else {
      report.gaps.push_back(
          {dialogue.id, done == nullptr ? "not done" : "done with other inputs or settings"});
    }
  }
  report.not_in_plan = all_done - done_in_plan;
  return report;
}

MergeReport Merge(const std::string& state_folder, std::span<const std::string> other_state_folders,
                  const Plan& plan) {
  std::vector<std::string> folders = {state_folder};
  folders.insert(folders.end(), other_state_folders.begin(), other_state_folders.end());
  std::unordered_map<std::string, std::string> key_of;
  for (const PlannedDialogue& dialogue : plan) key_of.emplace(dialogue.id, dialogue.key);

  std::map<std::string, Word> words;
  std::vector<std::string> runs;
  std::vector<std::string> damage;
  std::vector<std::string> own_journals;
  int64_t journals = 0;
  for (const std::string& folder : folders) {
    const Ledger ledger = Ledger::Read(folder);
    if (ledger.paths().empty()) {
      base::ThrowBadInput(folder +
                          ": has no journal; name the state folder (.ppx-batch) of a batch");
    }
    if (own_journals.empty()) own_journals = ledger.paths();
    journals += static_cast<int64_t>(ledger.paths().size());
    damage.insert(damage.end(), ledger.damage().begin(), ledger.damage().end());
    for (std::string& run : ledger.Runs()) {
      if (std::find(runs.begin(), runs.end(), run) == runs.end()) runs.push_back(std::move(run));
    }
    Collect(ledger, key_of, words);
  }

  std::string text;
  for (const std::string& run : runs) text += JournalLine(run);
  for (const auto& [id, word] : words) text += JournalLine(word.text);
  const std::string joined = (fs::path(state_folder) / JournalName({})).string();
  base::RemoveTemporaries(joined);
  base::WriteFileAtomically(joined, text);
  for (const std::string& path : own_journals) {
    if (path == joined) continue;
    std::error_code error;
    fs::remove(path, error);
    if (error) {
      base::ThrowResource(fmt::format("{}: joined, but cannot be removed: {}; remove it yourself",
                                      path, error.message()));
    }
  }

  Ledger ledger;
  ledger.Add(text, joined);
  MergeReport report = FindGaps(plan, ledger);
  report.journals = journals;
  report.damage = std::move(damage);
  return report;
}

}  // namespace ppx::batch
