#include <cstddef>
#include <cstdint>

#include "base/error.h"
#include "weights/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    ppx::weights::ParseSafetensors(std::as_bytes(std::span(data, size)), "fuzz");
  } catch (const ppx::base::Error&) {
    return 0;  // a refusal is an answer
  }
  return 0;
}
