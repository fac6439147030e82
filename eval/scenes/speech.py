"""Utterances whose first and last sample are speech, from the distribution's synthesisers.

Everything is integer PCM at the rate it will be written at, so what a scene places is what its WAV
holds, to the sample.
"""
import os
import shutil
import subprocess
import tempfile
import wave

import numpy as np

# Onset and offset: the first and the last sample at or above this level re the utterance's peak.
EDGE_DB = -50.0
# Voices of the statistical synthesiser begin and end with breath that no listener calls speech. It
# goes first: 10 ms steps whose RMS is below this level re the loudest step, at either end.
BREATH_DB = -38.0
STEP_S = 0.01
# Somewhat faster than the voices' default, so that scenes are short.
FLITE_STRETCH = "0.85"
ESPEAK_WORDS_PER_MINUTE = "185"

USER_VOICES = ("flite:awb", "flite:kal16", "flite:rms")
AGENT_VOICE = "flite:slt"
OTHER_VOICE = "espeak-ng:en-gb"


class SpeechError(Exception):
    """A synthesiser is missing or gave no speech."""


def decibels(level_db):
    return 10.0 ** (level_db / 20.0)


def resample(samples, from_hz, to_hz):
    """float64 -> float64, band-limited: the spectrum is cut or continued with zeros."""
    if from_hz == to_hz:
        return samples
    block = from_hz // np.gcd(from_hz, to_hz)  # lengths that have a whole number of samples at to_hz
    count = -(-(len(samples) + from_hz // 10) // block) * block
    padded = np.zeros(count)
    padded[:len(samples)] = samples
    new_count = count // block * (to_hz // np.gcd(from_hz, to_hz))
    spectrum = np.fft.rfft(padded)
    kept = np.zeros(new_count // 2 + 1, dtype=complex)
    shared = min(len(spectrum), len(kept))
    kept[:shared] = spectrum[:shared]
    return np.fft.irfft(kept, new_count) * (new_count / count)


def without_breath(samples, rate_hz):
    step = round(STEP_S * rate_hz)
    steps = len(samples) // step
    level = np.sqrt(np.mean(samples[:steps * step].reshape(steps, step) ** 2, axis=1))
    loud = np.flatnonzero(level >= level.max() * decibels(BREATH_DB))
    return samples[loud[0] * step:(loud[-1] + 1) * step]


def edges(pcm):
    """[start, end) of what is at or above EDGE_DB re the peak of `pcm`."""
    level = np.abs(pcm.astype(np.int64))
    loud = np.flatnonzero(level >= level.max() * decibels(EDGE_DB))
    return int(loud[0]), int(loud[-1]) + 1


class Synthesisers:
    """Speaks every text once a voice, and renders it once a rate and peak."""

    def __init__(self):
        missing = [name for name in ("flite", "espeak-ng") if shutil.which(name) is None]
        if missing:
            raise SpeechError(f"{' and '.join(missing)} not found; install with 'apt-get install "
                              f"{' '.join(missing)}'")
        self._spoken, self._rendered = {}, {}

    def render(self, voice, text, rate_hz, peak_db):
        """int16 [samples], trimmed to speech, with its peak at `peak_db` re full scale. Read only."""
        key = (voice, text, rate_hz, peak_db)
        if key not in self._rendered:
            samples, native_hz = self._speak(voice, text)
            samples = resample(samples, native_hz, rate_hz)
            scale = 32767 * decibels(peak_db) / np.abs(samples).max()
            pcm = np.round(samples * scale).astype(np.int16)
            start, end = edges(pcm)
            pcm = pcm[start:end]
            pcm.setflags(write=False)
            self._rendered[key] = pcm
        return self._rendered[key]

    def _speak(self, voice, text):
        if (voice, text) not in self._spoken:
            handle, path = tempfile.mkstemp(suffix=".wav")
            os.close(handle)
            try:
                self._spoken[voice, text] = self._run(voice, text, path)
            finally:
                os.unlink(path)
        return self._spoken[voice, text]

    @staticmethod
    def _run(voice, text, path):
        program, name = voice.split(":")
        if program == "flite":
            command = ["flite", "-voice", name, "--setf", f"duration_stretch={FLITE_STRETCH}",
                       "-t", text, "-o", path]
        else:
            command = ["espeak-ng", "-v", name, "-s", ESPEAK_WORDS_PER_MINUTE, "-w", path, text]
        result = subprocess.run(command, capture_output=True, check=False)
        try:
            with wave.open(path) as file:
                rate_hz = file.getframerate()
                pcm = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        except (wave.Error, EOFError):
            pcm = np.zeros(0, dtype="<i2")
        if result.returncode != 0 or len(pcm) < 1000 or not pcm.any():
            raise SpeechError(f"{' '.join(command[:3])} gave no speech for '{text}': "
                              f"{result.stderr.decode(errors='replace').strip() or 'no message'}")
        return without_breath(pcm.astype(np.float64), rate_hz), rate_hz
