#include "kernels/isa.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <initializer_list>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace ppx::kernels {
namespace {

Isa Detect() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  // clang 14 does not know F16C by name.
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  const bool f16c = __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
  const bool avx2 = f16c && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni") &&
                      __builtin_cpu_supports("avx512bf16");
  return avx512 ? Isa::kAvx512 : avx2 ? Isa::kAvx2 : Isa::kPortable;
#else
  return Isa::kPortable;
#endif
}

Isa FromEnvironment() {
  const char* wanted = std::getenv("PPX_ISA");
  if (wanted == nullptr) return BestIsa();
  for (const Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512}) {
    if (std::string_view(wanted) == Name(isa)) return std::min(isa, BestIsa());
  }
  return BestIsa();
}

std::atomic<Isa>& Current() {
  static std::atomic<Isa> current{FromEnvironment()};
  return current;
}

}  // namespace

Isa BestIsa() {
  static const Isa best = Detect();
  return best;
}

Isa CurrentIsa() { return Current().load(std::memory_order_relaxed); }

void UseIsa(Isa isa) { Current().store(std::min(isa, BestIsa()), std::memory_order_relaxed); }

const char* Name(Isa isa) {
  switch (isa) {
    case Isa::kPortable:
      return "portable";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
  }
  return "";
}

}  // namespace ppx::kernels
