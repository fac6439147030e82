#include "kernels/host_buffer.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <cstdint>
#include <utility>

#include "base/error.h"

namespace ppx::kernels {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;

size_t Mapped(size_t bytes) {
  return bytes < kHugePage ? bytes : (bytes + kHugePage - 1) / kHugePage * kHugePage;
}

// Null where there is no room.
void* Map(size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? nullptr : memory;
}

// Whole large pages that begin where one may begin.
void* MapLargePages(size_t bytes) {
  auto* memory = static_cast<char*>(Map(bytes + kHugePage));
  if (memory == nullptr) return nullptr;
  const size_t before = (kHugePage - reinterpret_cast<uintptr_t>(memory) % kHugePage) % kHugePage;
  if (before > 0) munmap(memory, before);
  munmap(memory + before + bytes, kHugePage - before);
  madvise(memory + before, bytes, MADV_HUGEPAGE);
  return memory + before;
}

}  // namespace

HostBuffer::HostBuffer(size_t bytes) : bytes_(bytes) {
  if (bytes == 0) return;
  void* memory = bytes < kHugePage ? Map(bytes) : MapLargePages(Mapped(bytes));
  if (memory == nullptr) {
    throw base::Error(base::ErrorCode::kOutOfMemory,
                      fmt::format("{} bytes for weights: out of memory", bytes));
  }
  data_ = static_cast<std::byte*>(memory);
}

HostBuffer::~HostBuffer() {
  if (data_ != nullptr) munmap(data_, Mapped(bytes_));
}

HostBuffer::HostBuffer(HostBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

HostBuffer& HostBuffer::operator=(HostBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

}  // namespace ppx::kernels
