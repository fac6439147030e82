// lib/text/text_prompt.h: the text half of the system prompt (PersonaPlex, arXiv 2602.06053): a
// role description between <system> tags, one id a frame.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace ppx::text {

// Prompts of more ids than about this were not seen in training. Nothing here enforces it: whoever
// takes the prompt from the user warns.
inline constexpr int kTrainedTextPromptTokens = 200;

// "<system> TEXT <system>", where TEXT is stripped of the whitespace around it (what Python's
// str.strip() calls so). Text that begins and ends with <system> already is only stripped. Text
// with nothing in it gives "".
std::string WrapSystemTags(std::string_view text);

// Ids of the wrapped text, without BOS or EOS; none for text with nothing in it, which means that
// the prompt has no text phase.
std::vector<int32_t> EncodeTextPrompt(const Tokenizer& tokenizer, std::string_view text);

}  // namespace ppx::text
