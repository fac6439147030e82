// lib/batch/parallel.h: the same work for many items, on several threads.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>

namespace ppx::batch {

// Calls `work(i)` once for every i below `count`, on `threads` threads (0: one a processor; 1: the
// caller's own). Which thread takes which item is not fixed: `work` writes to places of its own
// item only. `finished(n)`, if given, is called from the caller's thread now and then. The first
// exception is thrown again when all threads have ended; throws base::Error (kInterrupted) once
// `interrupt` is true.
void ForEach(size_t count, int threads, const std::atomic<bool>* interrupt,
             const std::function<void(size_t)>& work,
             const std::function<void(size_t)>& finished = {});

}  // namespace ppx::batch
