#include "batch/verify.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/atomic_file.h"
#include "base/digest.h"
#include "base/error.h"
#include "batch/parallel.h"

namespace ppx::batch {
namespace {

namespace fs = std::filesystem;

struct Item {
  const std::string* id;
  const WrittenFile* file;
  std::optional<std::string> problem;
};

std::vector<std::string> LeftOvers(const std::string& folder) {
  std::vector<std::string> found;
  std::error_code error;
  for (fs::recursive_directory_iterator
           entry(folder, fs::directory_options::skip_permission_denied, error),
       end;
       !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (base::NameOfTemporary(name).empty()) continue;
    found.push_back(entry->path().lexically_relative(folder).string());
  }
  if (error) {
    base::ThrowResource(fmt::format("{}: cannot be listed: {}; check its permissions and the disk",
                                    folder, error.message()));
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace

std::optional<std::string> WrongWithFile(const std::string& output_folder, const WrittenFile& file,
                                         bool hash, const std::atomic<bool>* interrupt) {
  constexpr const char* kMend = "run the batch again, which makes it anew";
  const std::string path = (fs::path(output_folder) / file.path).string();
  struct stat status = {};
  if (::stat(path.c_str(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return fmt::format("is missing; {}", kMend);
    return fmt::format("cannot be looked at: {}; check the permissions of its folders",
                       base::ErrnoText(errno));
  }
  if (!S_ISREG(status.st_mode)) return fmt::format("is not a file; move it away and {}", kMend);
  if (status.st_size != file.bytes) {
    return fmt::format("has {} bytes, but {} were written; {}", status.st_size, file.bytes, kMend);
  }
  if (!hash) return std::nullopt;
  try {
    if (base::Sha256File(path, interrupt) != file.sha256) {
      return fmt::format("has its size but another content; {}", kMend);
    }
  } catch (const base::Error& error) {
    if (error.code() == base::ErrorCode::kInterrupted) throw;
    return fmt::format("cannot be read: {}", error.what());
  }
  return std::nullopt;
}

VerifyReport Verify(const std::string& output_folder, const Ledger& ledger, int threads,
                    base::Progress& progress, const std::atomic<bool>* interrupt) {
  VerifyReport report;
  report.damage = ledger.damage();
  std::vector<Item> items;
  for (const auto& [id, record] : ledger.records()) {
    const DoneEntry* done = ledger.Done(id);
    if (done == nullptr) continue;
    ++report.dialogues;
    for (const WrittenFile& file : done->files) items.push_back({&id, &file, std::nullopt});
  }
  report.files = static_cast<int64_t>(items.size());
  progress.Begin("checking files", report.files);
  ForEach(
      items.size(), threads, interrupt,
      [&](size_t i) {
        items[i].problem = WrongWithFile(output_folder, *items[i].file, /*hash=*/true, interrupt);
      },
      [&](size_t done) { progress.Update(static_cast<int64_t>(done)); });
  progress.End();
  for (Item& item : items) {
    if (item.problem) {
      report.findings.push_back({*item.id, item.file->path, std::move(*item.problem)});
    } else {
      report.bytes += item.file->bytes;
    }
  }
  report.left_over = LeftOvers(output_folder);
  return report;
}

}  // namespace ppx::batch
