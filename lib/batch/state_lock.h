// lib/batch/state_lock.h: several processes on one output folder, and no dialogue twice.
//
// A process holds a lock on the byte range of OUT/.ppx-batch/lock that is the range of its shard's
// positions (shard.h). Two processes whose shards share a dialogue therefore exclude each other,
// whatever numbers of shards they were started with; others do not. The kernel gives back the locks
// of a process that has ended, however it ended. The file stays empty.
//
// These are Linux's open file description locks: advisory, and of use across machines only where
// the network file system passes them on (NFS 4 does; a cluster's scratch file system may be
// mounted without).
#pragma once

#include <atomic>
#include <functional>
#include <string>

#include "batch/shard.h"

namespace ppx::batch {

// The folder of the journals, OUT/.ppx-batch, made where it is missing. Throws base::Error (kUsage
// or kResource) where it cannot be made.
std::string MakeStateFolder(const std::string& output_folder);
// Its path, whether it is there or not.
std::string StateFolder(const std::string& output_folder);

enum class WhenBusy { kWait, kFail };

// Held from construction to destruction. Take it before the journals are read.
class StateLock {
 public:
  // Waits, looking five times a second, or fails while another process holds any part of the
  // shard. `on_wait` is called once where it has to wait.
  //
  // Throws base::Error: kInterrupted once `interrupt` is true; kResource where the range is taken
  // (kFail), or where the file system offers no locks, with the way to go on; kUsage where the file
  // cannot be made.
  StateLock(const std::string& state_folder, const Shard& shard, WhenBusy when_busy,
            const std::atomic<bool>* interrupt = nullptr,
            const std::function<void()>& on_wait = {});
  ~StateLock();
  StateLock(const StateLock&) = delete;
  StateLock& operator=(const StateLock&) = delete;

 private:
  int fd_ = -1;
};

// Writes the state folder's file `name` whole, if its bytes would change. Shards write the same
// file (plan.jsonl) at the same time: with `lock` one waits for the other, and what killed writers
// left of it is removed. Throws as StateLock and base/atomic_file.h.
void WriteStateFile(const std::string& state_folder, const std::string& name,
                    const std::string& bytes, bool lock);

}  // namespace ppx::batch
