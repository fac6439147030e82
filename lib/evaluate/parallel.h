// lib/evaluate/parallel.h: the same work for many items, on several threads.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>

namespace ppx::evaluate {

// Calls `work(i)` once for every i below `count`, on `threads` threads (0: one a processor). Which
// thread takes which item is not fixed: `work` writes to places of its own item only. LibTorch is
// told to use one thread in each, so that results do not depend on `threads`.
// `finished(n)` is called with growing n, one call at a time. The first exception is thrown again
// when all threads have ended; throws base::Error (kInterrupted) once `cancel` is true.
void ForEachInParallel(size_t count, int threads, const std::atomic<bool>* cancel,
                       const std::function<void(size_t)>& work,
                       const std::function<void(size_t)>& finished);

}  // namespace ppx::evaluate
