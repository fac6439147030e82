#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "report/compare.h"
#include "report/csv.h"
#include "report/results_json.h"
#include "report/table.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const auto results = ppx::report::ResultsFromJson(
        std::string_view(reinterpret_cast<const char*>(data), size), "fuzz");
    ppx::report::ToJson(results);
    ppx::report::ToTable(results);
    ppx::report::ToMarkdown(results);
    ppx::report::ToCsv(results);
    ppx::report::CompareOptions options;
    options.bootstrap.resamples = 10;
    ppx::report::Compare(results, results, options);
  } catch (const ppx::base::Error&) {
    return 0;  // a refusal is an answer
  }
  return 0;
}
