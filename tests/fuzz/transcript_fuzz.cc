#include <cstddef>
#include <cstdint>
#include <string_view>

#include "annotate/transcript.h"
#include "base/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const auto transcript = ppx::annotate::ParseTranscript(
        std::string_view(reinterpret_cast<const char*>(data), size), "fuzz");
    if (!ppx::annotate::Problem(transcript)) ppx::annotate::ToJson(transcript);
  } catch (const ppx::base::Error&) {
    return 0;  // a refusal is an answer
  }
  return 0;
}
