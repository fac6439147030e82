#include "nn/cuda/trust.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <set>
#include <string>

namespace ppx::nn {

bool GraphsWanted() {
  const char* wish = std::getenv("PPX_CUDA_GRAPH");
  return wish == nullptr || std::string_view(wish) != "0";
}

std::string_view ReasonOf(const std::exception& error) {
  const auto* of_torch = dynamic_cast<const c10::Error*>(&error);
  return of_torch != nullptr ? of_torch->what_without_backtrace() : error.what();
}

void WarnOfGraph(std::string_view what, std::string_view reason) {
  static std::mutex mutex;
  static std::set<std::string, std::less<>> warned;
  const std::lock_guard lock(mutex);
  if (!warned.emplace(what).second) return;
  fmt::print(stderr, "warning: {} is not run as a CUDA graph: {}\n", what, reason);
}

bool Close(const at::Tensor& actual, const at::Tensor& expected, double relative, double absolute) {
  const at::Tensor a = actual.to(at::kFloat);
  const at::Tensor e = expected.to(at::kFloat);
  const double floor = absolute * std::sqrt(static_cast<double>(e.numel()));
  // Not a comparison the other way round: a NaN is not close.
  return ((a - e).norm() <= e.norm() * relative + floor).item<bool>();
}

}  // namespace ppx::nn
