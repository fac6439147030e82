#include "kernels/host_buffer.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <utility>

#include "base/error.h"

namespace ppx::kernels {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;

// Whole large pages, so that the kernel can back all of it with them.
size_t Mapped(size_t bytes) {
  return bytes < kHugePage ? bytes : (bytes + kHugePage - 1) / kHugePage * kHugePage;
}

}  // namespace

HostBuffer::HostBuffer(size_t bytes) : bytes_(bytes) {
  if (bytes == 0) return;
  void* memory = mmap(nullptr, Mapped(bytes), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    throw base::Error(base::ErrorCode::kOutOfMemory,
                      fmt::format("{} bytes for weights: out of memory", bytes));
  }
  if (bytes >= kHugePage) madvise(memory, Mapped(bytes), MADV_HUGEPAGE);
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
