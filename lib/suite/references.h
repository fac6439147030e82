// lib/suite/references.h: published numbers (eval/reference/*.yaml), each with its source.
//
//   rows:
//     - system: PersonaPlex-7B-v1
//       source: model card
//       values:
//         candor_turn_taking: {takeover_rate: 0.908, response_latency_s: 0.170}
#pragma once

#include <string>
#include <vector>

namespace ppx::suite {

struct ReferenceValue {
  std::string system;
  std::string source;
  std::string task;
  std::string metric;
  double value = 0;
};

// In the order of the file. Throws base::Error (kBadInput) with the place of what is wrong.
std::vector<ReferenceValue> LoadReferences(const std::string& path);

}  // namespace ppx::suite
