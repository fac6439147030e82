#include "bench/machine.h"

#include <ATen/DeviceAccelerator.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <fstream>
#include <sstream>
#include <string_view>
#include <thread>

#include "engine/device.h"
#include "nn/linear.h"

namespace ppx::bench {
namespace {

constexpr double kMeasureSeconds = 0.25;

// Large pages, as far as the system has any: otherwise the figure is that of address translation.
void AskForLargePages(const at::Tensor& buffer) {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(buffer.data_ptr());
  const uintptr_t first = (begin + page - 1) / page * page;
  const uintptr_t end = (begin + buffer.nbytes()) / page * page;
  // Without effect where it is refused.
  if (first < end) madvise(reinterpret_cast<void*>(first), end - first, MADV_HUGEPAGE);
}

uint64_t SumWords(const int64_t* words, int64_t count) {
  constexpr int64_t kLanes = 16;  // independent sums, so that no addition waits for another
  std::array<uint64_t, kLanes> sums{};
  for (int64_t i = 0; i + kLanes <= count; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      sums[static_cast<size_t>(lane)] += static_cast<uint64_t>(words[i + lane]);
    }
  }
  uint64_t sum = 0;
  for (const uint64_t part : sums) sum += part;
  return sum;
}

std::string FirstLine(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::vector<std::string> MatrixFlags() {
  constexpr std::array<std::string_view, 12> kWanted{
      "avx",         "avx2",     "fma",         "f16c",     "avx512f",  "avx512bw",
      "avx512_bf16", "avx_vnni", "avx512_vnni", "amx_bf16", "amx_int8", "amx_tile"};
  std::vector<std::string> found;
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.rfind("flags", 0) != 0) continue;
    std::istringstream words(line);
    for (std::string word; words >> word;) {
      if (std::find(kWanted.begin(), kWanted.end(), word) != kWanted.end()) found.push_back(word);
    }
    break;
  }
  return found;
}

}  // namespace

void Synchronize(const at::Device& device) {
  if (device.is_cpu()) return;
  c10::impl::VirtualGuardImpl(device.type()).synchronizeDevice(device.index());
}

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Bandwidth::Bandwidth(const at::Device& device, int64_t buffer_bytes) : device_(device) {
  const int64_t words = buffer_bytes / int64_t{sizeof(int64_t)};
  buffer_ = at::empty({words}, at::TensorOptions().dtype(at::kLong).device(device));
  if (device.is_cpu()) AskForLargePages(buffer_);
  buffer_.fill_(1);
  if (!device.is_cpu()) target_ = at::zeros_like(buffer_);
}

double Bandwidth::Measure() const { return target_.defined() ? MeasureCopies() : MeasureReading(); }

double Bandwidth::MeasureReading() const {
  const int64_t threads = at::get_num_threads();
  const int64_t share = buffer_.numel() / threads;
  // What is read must have a use, or the compiler leaves the reading out.
  std::atomic<uint64_t> sink{0};
  std::atomic<int64_t> bytes{0};
  const double begin = Now();
  // Threads of its own: at::parallel_for is serial in files compiled without OpenMP.
  std::vector<std::thread> readers;
  for (int64_t thread = 0; thread < threads; ++thread) {
    readers.emplace_back([&, thread] {
      // In pieces, so that all threads stop at almost the same time.
      constexpr int64_t kPiece = 1 << 18;
      const int64_t* words = buffer_.const_data_ptr<int64_t>() + thread * share;
      uint64_t sum = 0;
      int64_t at = 0;
      int64_t read = 0;
      while (Now() - begin < kMeasureSeconds) {
        const int64_t count = std::min(kPiece, share - at);
        sum += SumWords(words + at, count);
        read += count;
        at = at + count < share ? at + count : 0;
      }
      sink += sum;
      bytes += read * int64_t{sizeof(int64_t)};
    });
  }
  for (std::thread& reader : readers) reader.join();
  return static_cast<double>(bytes) / (Now() - begin);
}

double Bandwidth::MeasureCopies() const {
  target_.copy_(buffer_);
  Synchronize(device_);
  const double begin = Now();
  double end = begin;
  int64_t copies = 0;
  do {
    target_.copy_(buffer_);
    Synchronize(device_);
    ++copies;
    end = Now();
  } while (end - begin < kMeasureSeconds);
  return 2.0 * static_cast<double>(buffer_.nbytes()) * static_cast<double>(copies) / (end - begin);
}

double MatrixRate(const at::Device& device, at::ScalarType dtype, int64_t size) {
  const auto options = at::TensorOptions().dtype(dtype).device(device);
  const at::Tensor left = at::randn({size, size}, options);
  const at::Tensor right = at::randn({size, size}, options);
  double best = 0;
  const double begin = Now();
  for (int run = 0; run < 3 || Now() - begin < kMeasureSeconds; ++run) {
    const double start = Now();
    const at::Tensor product = at::matmul(left, right);
    Synchronize(device);
    const double rate = 2 * static_cast<double>(size * size * size) / (Now() - start);
    best = std::max(best, rate);
  }
  return best;
}

std::vector<LinearRate> LinearRates(const at::Device& device, at::ScalarType dtype,
                                    std::optional<kernels::WeightForm> form, int64_t outputs,
                                    int64_t inputs, const std::vector<int>& rows,
                                    int64_t buffer_bytes) {
  constexpr int64_t kMostMatrices = 64;
  const auto options = at::TensorOptions().dtype(dtype).device(device);
  const auto element = static_cast<int64_t>(c10::elementSize(dtype));
  int64_t matrix_bytes = outputs * inputs * element;
  const int64_t count = std::clamp<int64_t>(buffer_bytes / matrix_bytes, 2, kMostMatrices);
  std::vector<nn::Linear> tensors;
  std::vector<nn::Linear> ours;
  for (int64_t i = 0; i < count; ++i) {
    const at::Tensor matrix = at::randn({outputs, inputs}, options);
    tensors.emplace_back(matrix);
    if (form && !device.is_cpu()) {
      ours.emplace_back(at::randint(-127, 128, {outputs, inputs}, options.dtype(at::kChar)),
                        at::rand({outputs}, options.dtype(at::kFloat)), at::Tensor());
    } else if (form) {
      const at::Tensor wide = matrix.to(at::kFloat);
      ours.emplace_back(kernels::PackedMatrix(
          *form, {.data = wide.const_data_ptr(), .outputs = outputs, .inputs = inputs}));
    }
  }
  if (form) {
    matrix_bytes = static_cast<int64_t>(kernels::PackedMatrix::Bytes(*form, outputs, inputs));
  }
  std::vector<LinearRate> rates;
  for (const int n : rows) {
    const at::Tensor x = at::randn({n, inputs}, options);
    const auto once = [&](const std::vector<nn::Linear>& matrices) {
      const double begin = Now();
      for (const nn::Linear& matrix : matrices) matrix(x);
      Synchronize(device);
      return Now() - begin;
    };
    const std::vector<nn::Linear>& measured = form ? ours : tensors;
    once(measured);
    once(tensors);
    double seconds = 0;
    double libtorch_s = 0;
    double products = 0;
    const double begin = Now();
    do {
      seconds += once(measured);
      libtorch_s += once(tensors);
      products += static_cast<double>(count);
    } while (Now() - begin < 2 * kMeasureSeconds);
    seconds /= products;
    rates.push_back({.rows = n,
                     .seconds = seconds,
                     .bytes_per_s = static_cast<double>(matrix_bytes) / seconds,
                     .operations_per_s = 2.0 * n * static_cast<double>(outputs * inputs) / seconds,
                     .libtorch_s = libtorch_s / products});
  }
  return rates;
}

MemoryUse ReadMemoryUse(const at::Device& device) {
  MemoryUse use;
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  use.peak_bytes = int64_t{usage.ru_maxrss} * 1024;
  use.minor_faults = usage.ru_minflt;
  use.major_faults = usage.ru_majflt;
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    constexpr std::string_view kField = "RssAnon:";
    if (line.rfind(kField, 0) != 0) continue;
    std::istringstream kibibytes(line.substr(kField.size()));
    kibibytes >> use.anonymous_bytes;
    use.anonymous_bytes *= 1024;
  }
  if (!device.is_cpu()) {
    const auto stats = at::getDeviceAllocator(device.type())->getDeviceStats(device.index());
    use.device_peak_bytes = stats.allocated_bytes[0].peak;  // 0: of all pools together
  }
  return use;
}

MachineFacts ReadMachineFacts() {
  MachineFacts facts;
  facts.cpu = engine::DeviceDescription(at::kCPU);
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) facts.cores = CPU_COUNT(&allowed);
  facts.cpu_flags = MatrixFlags();
  facts.memory_bytes = int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE);
  facts.huge_pages = FirstLine("/sys/kernel/mm/transparent_hugepage/enabled");
  facts.cpu_capability = at::get_cpu_capability();
  return facts;
}

}  // namespace ppx::bench
