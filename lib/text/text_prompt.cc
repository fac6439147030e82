#include "text/text_prompt.h"

#include <fmt/format.h>

#include "text/utf8.h"

namespace ppx::text {

std::string WrapSystemTags(std::string_view text) {
  constexpr std::string_view kTag = "<system>";
  const std::string_view role = StripWhitespace(text);
  if (role.empty()) return "";
  if (role.starts_with(kTag) && role.ends_with(kTag)) return std::string(role);
  return fmt::format("{} {} {}", kTag, role, kTag);
}

std::vector<int32_t> EncodeTextPrompt(const Tokenizer& tokenizer, std::string_view text) {
  const std::string wrapped = WrapSystemTags(text);
  if (wrapped.empty()) return {};
  return tokenizer.Encode(wrapped);
}

}  // namespace ppx::text
