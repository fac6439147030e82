// lib/base/atomic_file.h: output files that appear whole or not at all.
//
// What "path" may be, for everything in this header:
//  - a new or existing regular file: written to a temporary file `.NAME.XXXXXX.tmp` in the same
//    folder, which takes the name in one step at `Commit`. Readers see the old file or the new one;
//  - a symbolic link: the file it points to is replaced, the link stays;
//  - /dev/stdout, /dev/stderr, /dev/fd/N, /proc/self/fd/N: the open descriptor itself is written,
//  so
//    that redirections of the shell, `>>` too, keep their meaning;
//  - a device, FIFO or other special file: written directly, nothing is renamed.
//
// New files get mode 0666 less the umask, whatever the mode of the file they replace.
//
// Errors thrown (base::Error), always naming the path and how to mend it:
//  kUsage     the path cannot be written as it stands: no such folder, a folder, no permission
//  kResource  the disk is full (found while writing, flushing or closing) or failing
//
// Not done: no locking against a second writer (the last `Commit` wins), no temporary file is
// removed when the process is killed (see `RemoveTemporaries`). Signals are left alone: writing to
// a closed pipe raises SIGPIPE.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace ppx::base {

// One file being written. Not thread-safe.
class AtomicFile {
 public:
  // Opens the temporary file (or the special file; a FIFO waits for its reader).
  explicit AtomicFile(const std::string& path);
  // Without a `Commit` before: removes the temporary file; what `path` named stays as it was.
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  // Appends. After a throw the file can only be destroyed.
  void Write(std::span<const std::byte> bytes) { Write(bytes.data(), bytes.size()); }
  void Write(std::string_view text) { Write(text.data(), text.size()); }
  void Write(const void* data, size_t size_bytes);

  // Makes the file durable under its name: fsync, close, rename, fsync of the folder. Once only,
  // and nothing can be written afterwards.
  void Commit();

  // The path as the caller gave it.
  const std::string& path() const { return path_; }

 private:
  [[noreturn]] void Fail(const char* action, int error_number) const;

  std::string path_;
  std::string target_;     // `path_` with symbolic links followed
  std::string temporary_;  // empty where there is nothing to rename or remove
  int fd_ = -1;
};

// The whole life of an AtomicFile.
void WriteFileAtomically(const std::string& path, std::span<const std::byte> bytes);
void WriteFileAtomically(const std::string& path, std::string_view text);

// Throws now what AtomicFile(path) would throw after hours of work: looks whether `path` is a
// folder and whether its folder takes a new file (one is made and removed). Leaves what is at
// `path` alone; a FIFO is not opened. Does not look at the free space.
void CheckWritable(const std::string& path);

// NAME where `file_name` is that of a temporary file, `.NAME.XXXXXX.tmp`; empty where it is not.
// Points into `file_name`. A very long name was cut: `TemporaryStem` says to what.
std::string_view NameOfTemporary(std::string_view file_name);
// What the NAME in the temporary file's name is for a file called `file_name`: its first 200 bytes.
std::string_view TemporaryStem(std::string_view file_name);

// Removes the temporary files that killed writers left beside `path` (beside its target where it is
// a link). Only while nobody writes `path`: a living writer would lose its file. Leaves everything
// else in the folder alone; does nothing for a special file or where there is no such folder.
void RemoveTemporaries(const std::string& path);

}  // namespace ppx::base
