// lib/script/clip_set.h: the sounds of a script, ready to be mixed.
//
// What is done to a clip, in this order: its channel, `from_s` to `to_s`, another sample rate,
// silence at both ends cut (`trim`), its loudness, its gain, linear fades.
//
// Trimming cuts what comes before the first and after the last step of 10 ms whose RMS is within 40
// dB of the loudest step's.
//
// Noise has an RMS of `level_db` re full scale, or lies `snr_db` below the speech of the clips that
// steps play: the RMS over all their steps of 10 ms that are within 25 dB of the loudest, after
// gains and fades. Clips in the background do not count.
#pragma once

#include <vector>

#include "script/dialogue_script.h"
#include "script/speech_synthesiser.h"

namespace ppx::script {

// Const after loading: one may serve many dialogues on many threads.
struct ClipSet {
  int sample_rate_hz = 0;
  std::vector<std::vector<float>> clips;  // [clip][N >= 1] f32, as DialogueScript::clips
  double noise_rms = 0;                   // 0: no noise
  std::vector<float> noise;               // a noise file's samples, with that RMS; else empty
};

// `synthesiser` may be null where no clip is spoken. Throws base::Error, its text beginning with
// the clip's "path:line:column": kBadInput for a file that cannot be read or has nothing where the
// clip begins, a clip or noise file of silence whose level is to be set, and what the synthesiser
// throws; kUsage where there is none.
ClipSet LoadClips(const DialogueScript& script, int sample_rate_hz,
                  const SpeechSynthesiser* synthesiser);

}  // namespace ppx::script
