// lib/text/utf8.h: the few questions this library asks of UTF-8 text.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ppx::text {

// Bytes that are not UTF-8 (cut or overlong sequences, surrogates) become U+FFFD.
std::string ReplaceInvalidUtf8(std::string_view text);

// `text` without the whitespace around it: the code points that Python's str.strip() removes.
// The result points into `text`.
std::string_view StripWhitespace(std::string_view text);

// `text` with every `from`, which is not empty, replaced by `to`.
std::string ReplaceAll(std::string_view text, std::string_view from, std::string_view to);

// Number of code points of valid UTF-8; not of columns, which a wide character may take two of.
size_t CodePointCount(std::string_view text);

}  // namespace ppx::text
