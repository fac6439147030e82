// tests/support/each_isa.h: the same checks with every instruction set that this machine has.
#pragma once

#include <string>

#include "kernels/isa.h"
#include "support/doctest_torch.h"

namespace ppx::test {

// Calls work() with each of them in use; the one used before is used again afterwards.
template <typename Work>
void ForEachIsa(const Work& work) {
  struct Restore {
    kernels::Isa before = kernels::CurrentIsa();
    ~Restore() { kernels::UseIsa(before); }
  } restore;
  for (const kernels::Isa isa :
       {kernels::Isa::kPortable, kernels::Isa::kAvx2, kernels::Isa::kAvx512}) {
    if (isa > kernels::BestIsa()) break;
    kernels::UseIsa(isa);
    const std::string name = kernels::Name(isa);
    CAPTURE(name);
    work();
  }
}

}  // namespace ppx::test
