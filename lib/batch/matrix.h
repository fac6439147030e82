// lib/batch/matrix.h: the same dialogues with several personas, voices, prompts, seeds or
// configurations.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "batch/manifest.h"

namespace ppx::batch {

// One combination. What is not an axis has no value.
struct Variant {
  std::string folder;  // "persona=bank,seed=2"; empty without axes
  std::optional<std::string> persona;
  std::optional<std::string> voice;
  std::optional<std::string> text;
  std::optional<int64_t> seed;
  std::optional<std::string> config;  // a path, which the caller applies
};

// The cross product of the axes, the last one changing fastest; one variant without folder where
// there is none. An axis is one of
//   persona=bank,clinic   voice=NATF2,her.wav   config=a.yaml,b.yaml   names or paths
//   text=You are terse.|You are kind, but firm.      texts, with | between them: they hold commas
//   seed=1,2,5..8                                    numbers, 0 or more, and ranges
//
// Folder names are safe: paths give their stem, other characters than A-Z a-z 0-9 . _ - become _,
// and a text gives its beginning and a part of its SHA-256.
//
// Throws base::Error (kUsage) for an axis that is unknown, given twice or without a value, for
// values given twice or that give the same folder, and for more than 100 000 variants.
std::vector<Variant> MakeVariants(const std::vector<std::string>& axes);

// The request as this variant asks for it: the variant's values replace the request's, and its
// folder comes before the id. A persona of the variant is whole: the request's text prompt and
// voice, which would win over it, are left out. `config` has no place in a request.
DialogueRequest Apply(const Variant& variant, DialogueRequest request);

}  // namespace ppx::batch
