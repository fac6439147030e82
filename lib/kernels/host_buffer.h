// lib/kernels/host_buffer.h: a large piece of memory in large pages, for what is read once a step.
#pragma once

#include <cstddef>

namespace ppx::kernels {

// Zeros, aligned to 64 bytes or more. Pages of 2 MB where the system gives them: with small ones a
// stream over gigabytes waits for the page table. Throws base::Error (kOutOfMemory).
class HostBuffer {
 public:
  HostBuffer() = default;
  explicit HostBuffer(size_t bytes);
  ~HostBuffer();
  HostBuffer(HostBuffer&& other) noexcept;
  HostBuffer& operator=(HostBuffer&& other) noexcept;
  HostBuffer(const HostBuffer&) = delete;
  HostBuffer& operator=(const HostBuffer&) = delete;

  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  size_t size() const { return bytes_; }

 private:
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace ppx::kernels
