// lib/text/text_track.h: what the agent says, from the ids of its text stream, one id a frame.
//
// In this family of models (Moshi, arXiv 2410.00037, section 3.4.4) a word's pieces come on
// consecutive frames from the moment its sound begins, then PAD, and EPAD on the frame before the
// next word. So the stream tells when a word starts, and not when it ends.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/timeline.h"
#include "text/tokenizer.h"

namespace ppx::text {

// The ids with a meaning of their own.
struct TextIds {
  int32_t epad = 0;  // end of padding: a word starts next
  int32_t bos = 1;
  int32_t eos = 2;
  int32_t pad = 3;
};

// One string a frame, in the notation of the published offline script: "EPAD", "PAD", else the
// piece with every U+2581 as a space. BOS and EOS are pieces like any other here. An id beyond the
// tokenizer's pieces, as a checkpoint of random weights gives, is "<id>".
std::vector<std::string> FrameStrings(const std::vector<int32_t>& ids, const Tokenizer& tokenizer,
                                      TextIds special = {});

// The words in order, row i being the frame [start_s + i frame_s, start_s + (i + 1) frame_s).
// - A piece that begins with U+2581 begins a word, and so does the first one after an EPAD, BOS or
//   EOS. Other pieces belong to the word before them, PAD frames in between or not.
// - Byte pieces are put together to UTF-8; bytes that make none become U+FFFD. Control, unknown and
//   unused pieces are never part of a word. A word of nothing but whitespace is left out.
// - `text` keeps the leading space of its first piece, so the texts put together read as the model
//   wrote them.
// - `start_s` is where the frame of the first piece starts. `end_s` is an estimate, there being
//   nothing in the stream that tells it: the end of the last piece's frame, or 0.24 s after the
//   start if that is later, but not beyond the next word's start, the next EPAD, BOS or EOS, or the
//   end of the track. Take ends from the audio where they matter.
// Words do not overlap. `frame_s` is above 0. Ids beyond the tokenizer's pieces are skipped as PAD
// is.
std::vector<base::TimedWord> TimedWords(const std::vector<int32_t>& ids, const Tokenizer& tokenizer,
                                        double frame_s, double start_s, TextIds special = {});

}  // namespace ppx::text
