#include "engine/device.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <fstream>

#include "base/error.h"
#include "nn/ring_attention.h"

namespace ppx::engine {
namespace {

// LibTorch registers CUDA support from static constructors of libtorch_cuda.so, which lies beside
// the library that this program is linked to.
void LoadCudaHalf() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<void*>(&at::globalContext), &info) == 0 ||
      info.dli_fname == nullptr) {
    base::ThrowInternal("LibTorch's own location is unknown");
  }
  const std::string here(info.dli_fname);
  const std::string library = here.substr(0, here.rfind('/') + 1) + "libtorch_cuda.so";
  if (dlopen(library.c_str(), RTLD_NOW | RTLD_GLOBAL) == nullptr) {
    base::ThrowResource(fmt::format(
        "the CUDA libraries cannot be loaded: {}; fetch them with scripts/setup --cuda, or use "
        "--device cpu",
        dlerror()));
  }
}

int ParseGpuIndex(const std::string& name, size_t prefix) {
  if (name.size() == prefix) return 0;
  int index = -1;
  const char* begin = name.data() + prefix + 1;
  const char* end = name.data() + name.size();
  const auto parsed = std::from_chars(begin, end, index);
  const bool valid = name[prefix] == ':' && begin < end && parsed.ec == std::errc() &&
                     parsed.ptr == end && index >= 0 && index < 128;
  if (!valid) base::ThrowUsage("--device " + name + ": expected cpu, cuda or cuda:N");
  return index;
}

// The CUDA runtime is there since OpenDevice, and not linked to.
int64_t FreeGpuMemory(int index) {
  using SetDevice = int (*)(int);
  using MemGetInfo = int (*)(size_t*, size_t*);
  // What LibTorch has taken from the GPU and does not use can be had too.
  c10::getDeviceAllocator(at::kCUDA)->emptyCache();
  const auto set_device = reinterpret_cast<SetDevice>(dlsym(RTLD_DEFAULT, "cudaSetDevice"));
  const auto get_info = reinterpret_cast<MemGetInfo>(dlsym(RTLD_DEFAULT, "cudaMemGetInfo"));
  size_t free = 0;
  size_t total = 0;
  if (set_device == nullptr || get_info == nullptr || set_device(index) != 0 ||
      get_info(&free, &total) != 0) {
    base::ThrowResource(
        fmt::format("cuda:{}: its free memory is unknown; give the number of slots", index));
  }
  return static_cast<int64_t>(free);
}

// By the driver, which the CUDA runtime has loaded.
std::string GpuName(int index) {
  using DeviceGet = int (*)(int*, int);
  using DeviceGetName = int (*)(char*, int, int);
  constexpr int kLongest = 256;
  char name[kLongest] = {};
  int handle = 0;
  void* driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
  if (driver != nullptr) {
    const auto get = reinterpret_cast<DeviceGet>(dlsym(driver, "cuDeviceGet"));
    const auto get_name = reinterpret_cast<DeviceGetName>(dlsym(driver, "cuDeviceGetName"));
    if (get != nullptr && get_name != nullptr && get(&handle, index) == 0 &&
        get_name(name, kLongest, handle) == 0) {
      return name;
    }
  }
  return fmt::format("CUDA device {}", index);
}

// The number behind `key` of a file of lines "key number"; no key: the first number. -1 where there
// is none ("max").
int64_t NumberIn(const std::string& path, std::string_view key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key)) continue;
    const char* begin = line.c_str() + key.size();
    char* end = nullptr;
    const long long value = std::strtoll(begin, &end, 10);
    return end == begin ? -1 : value;
  }
  return -1;
}

int64_t FreeHostMemory() {
  constexpr int64_t kKiB = 1024;
  const int64_t available_kib = NumberIn("/proc/meminfo", "MemAvailable:");
  if (available_kib < 0) base::ThrowResource("/proc/meminfo cannot be read");
  int64_t free = available_kib * kKiB;
  const std::string group = "/sys/fs/cgroup";
  const int64_t limit = NumberIn(group + "/memory.max", "");
  if (limit >= 0) {
    const int64_t cached = std::max<int64_t>(0, NumberIn(group + "/memory.stat", "file "));
    free = std::min(free, limit - NumberIn(group + "/memory.current", "") + cached);
  }
  return std::max<int64_t>(free, 0);
}

}  // namespace

at::Device OpenDevice(const std::string& name) {
  constexpr std::string_view kCuda = "cuda";
  if (name == "cpu") return at::kCPU;
  if (name.rfind(kCuda, 0) != 0) {
    base::ThrowUsage("--device " + name + ": expected cpu, cuda or cuda:N");
  }
  const int index = ParseGpuIndex(name, kCuda.size());
  LoadCudaHalf();
  if (!at::detail::getCUDAHooks().isBuilt()) {
    base::ThrowInternal("LibTorch was asked for GPUs before its CUDA half was loaded");
  }
  const int count = at::globalContext().hasCUDA() ? at::detail::getCUDAHooks().deviceCount() : 0;
  if (count == 0) {
    base::ThrowResource(
        "--device " + name +
        ": no CUDA device is visible; check nvidia-smi and CUDA_VISIBLE_DEVICES, or "
        "use --device cpu");
  }
  if (index >= count) {
    base::ThrowResource(
        fmt::format("--device {}: there are {} CUDA devices, 0 to {}", name, count, count - 1));
  }
  const at::Device device(at::kCUDA, static_cast<at::DeviceIndex>(index));
  try {
    at::globalContext().lazyInitDevice(at::kCUDA);
    nn::CheckRingAttentionCuda(device);  // where it fails, the plain path is used
  } catch (const c10::Error& error) {
    base::ThrowResource(fmt::format("--device {}: {}", name, error.what_without_backtrace()));
  }
  return device;
}

std::vector<std::string> AllGpus() {
  OpenDevice("cuda");
  std::vector<std::string> names;
  for (int i = 0; i < at::detail::getCUDAHooks().deviceCount(); ++i) {
    names.push_back(fmt::format("cuda:{}", i));
  }
  return names;
}

int64_t FreeMemoryBytes(const at::Device& device) {
  return device.is_cuda() ? FreeGpuMemory(device.index()) : FreeHostMemory();
}

at::ScalarType ParseDtype(const std::string& name) {
  if (name == "f32") return at::kFloat;
  if (name == "bf16") return at::kBFloat16;
  base::ThrowUsage("--dtype " + name + ": expected f32 or bf16");
}

std::string DtypeName(at::ScalarType dtype) { return dtype == at::kFloat ? "f32" : "bf16"; }

std::string DeviceDescription(const at::Device& device) {
  if (device.is_cuda()) return GpuName(device.index());
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.rfind("model name", 0) != 0) continue;
    const size_t colon = line.find(": ");
    if (colon != std::string::npos) return line.substr(colon + 2);
  }
  return "CPU";
}

void ConfigureArithmetic(int threads) {
  if (threads > 0) at::set_num_threads(threads);
  at::globalContext().setAllowBF16ReductionCuBLAS(false);
  at::globalContext().setAllowTF32CuDNN(false);
  at::globalContext().setDeterministicCuDNN(true);
  at::globalContext().setBenchmarkCuDNN(false);
}

}  // namespace ppx::engine
