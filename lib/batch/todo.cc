#include "batch/todo.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <map>
#include <set>
#include <system_error>

#include "base/atomic_file.h"
#include "base/error.h"
#include "batch/parallel.h"
#include "batch/verify.h"

namespace ppx::batch {
namespace {

namespace fs = std::filesystem;

enum class State { kOther, kDone, kFresh, kFailed, kOldKey, kDamaged };

State StateOf(const PlannedDialogue& dialogue, const Ledger& ledger,
              const std::string& output_folder, bool hash, const std::atomic<bool>* interrupt) {
  const DoneEntry* done = ledger.Done(dialogue.id);
  if (done == nullptr) {
    return ledger.Failed(dialogue.id) != nullptr ? State::kFailed : State::kFresh;
  }
  if (done->key != dialogue.key) return State::kOldKey;
  for (const WrittenFile& file : done->files) {
    if (WrongWithFile(output_folder, file, hash, interrupt)) return State::kDamaged;
  }
  return State::kDone;
}

}  // namespace

TodoList Todo(const Plan& plan, const Ledger& ledger, const Shard& shard,
              const std::string& output_folder, CheckFiles check,
              const std::atomic<bool>* interrupt) {
  const bool hash = check == CheckFiles::kHash || ledger.damaged();
  std::vector<State> states(plan.size(), State::kOther);
  ForEach(plan.size(), hash ? 0 : 1, interrupt, [&](size_t i) {
    if (Owns(shard, plan[i].id)) {
      states[i] = StateOf(plan[i], ledger, output_folder, hash, interrupt);
    }
  });
  TodoList list;
  for (size_t i = 0; i < plan.size(); ++i) {
    switch (states[i]) {
      case State::kOther:
        ++list.other_shards;
        continue;
      case State::kDone:
        ++list.done;
        list.done_audio_s += ledger.Done(plan[i].id)->audio_s;
        continue;
      case State::kFresh:
        ++list.fresh;
        break;
      case State::kFailed:
        ++list.failed_before;
        break;
      case State::kOldKey:
        ++list.old_key;
        break;
      case State::kDamaged:
        ++list.damaged;
        list.damaged_ids.push_back(plan[i].id);
        break;
    }
    list.todo.push_back(i);
  }
  return list;
}

void RemoveLeftOvers(const Plan& plan, std::span<const size_t> dialogues,
                     const std::string& output_folder) {
  std::map<fs::path, std::set<std::string, std::less<>>> names_of;
  for (const size_t index : dialogues) {
    for (const std::string& output : plan[index].outputs) {
      const fs::path path = fs::path(output_folder) / output;
      // A link's temporary files lie beside its target.
      if (fs::is_symlink(path)) {
        base::RemoveTemporaries(path.string());
        continue;
      }
      const std::string name = path.filename().string();
      names_of[path.parent_path()].emplace(base::TemporaryStem(name));
    }
  }
  for (const auto& [folder, names] : names_of) {
    std::error_code error;
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
         entry.increment(error)) {
      const std::string found = entry->path().filename().string();
      if (!names.contains(base::NameOfTemporary(found))) continue;
      if (::unlink(entry->path().c_str()) != 0 && errno != ENOENT) {
        base::ThrowResource(
            fmt::format("{}: cannot remove the left-over file: {}; check the folder's permissions",
                        entry->path().string(), base::ErrnoText(errno)));
      }
    }
    if (error && error != std::errc::no_such_file_or_directory) {
      base::ThrowResource(fmt::format("{}: cannot be listed: {}; check its permissions",
                                      folder.string(), error.message()));
    }
  }
}

}  // namespace ppx::batch
