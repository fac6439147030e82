// lib/script/words.h: words as they are compared, and names as they are misspelt.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ppx::script {

// A word without the blanks and punctuation around it, in small letters: " Sure!" -> "sure",
// "don't" stays. Letters beyond ASCII are compared as they are written. Empty where nothing is
// left.
std::string NormalWord(std::string_view word);

// The words of a text, at its blanks.
std::vector<std::string> NormalWords(std::string_view text);

// The one of `names` with the fewest changes to `name`; the first of several, empty without names.
std::string Nearest(std::string_view name, std::span<const std::string> names);

}  // namespace ppx::script
