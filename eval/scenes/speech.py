"""Utterances whose first and last sample are known, from the distribution's synthesisers."""
import io
import shutil
import subprocess
import wave

import numpy as np

RATE_HZ = 48000  # of everything in memory; a multiple of what files are written at
# An utterance begins and ends where it is above this share of its peak: -40 dB.
EDGE = 0.01
LEVEL = 0.08  # RMS of an utterance

# Two programs, several voices: users and agents never share one.
USER_VOICES = (("flite", "slt"), ("flite", "awb"), ("espeak-ng", "en-gb"))
AGENT_VOICES = (("flite", "rms"), ("flite", "kal16"))


class SpeechError(Exception):
    pass


def _command(voice, text):
    program, name = voice
    if program == "flite":
        return ["flite", "-voice", name, "-t", text, "-o", "/dev/stdout"]
    return ["espeak-ng", "-v", name, "--stdout", text]


def _decode(data):
    # Writers to a pipe do not know the length and leave a wrong one in the header.
    with wave.open(io.BytesIO(data)) as file:
        rate_hz = file.getframerate()
    start = data.index(b"data") + 8
    samples = np.frombuffer(data[start:start + (len(data) - start) // 2 * 2], dtype="<i2")
    return samples.astype(np.float64) / 32768, rate_hz


def resample(samples, from_hz, to_hz):
    """Linear interpolation: what is synthesised here is loud below 4 kHz."""
    if from_hz == to_hz:
        return samples
    count = len(samples) * to_hz // from_hz
    return np.interp(np.arange(count) * (from_hz / to_hz), np.arange(len(samples)), samples)


class Synthesisers:
    """Speaks each text once a voice."""

    def __init__(self):
        for program in ("flite", "espeak-ng"):
            if shutil.which(program) is None:
                raise SpeechError(f"{program} was not found; install it, or run scripts/setup")
        self._spoken = {}

    def say(self, voice, text):
        """Float samples at RATE_HZ that begin and end with speech, of RMS LEVEL."""
        key = (voice, text)
        if key not in self._spoken:
            result = subprocess.run(_command(voice, text), capture_output=True, check=False)
            if result.returncode != 0 or len(result.stdout) < 1000:
                raise SpeechError(f"{voice[0]} could not speak as {voice[1]}: "
                                  f"{result.stderr.decode(errors='replace').strip()}")
            samples, rate_hz = _decode(result.stdout)
            samples = resample(samples, rate_hz, RATE_HZ)
            loud = np.flatnonzero(np.abs(samples) > EDGE * np.abs(samples).max())
            samples = samples[loud[0]:loud[-1] + 1]
            self._spoken[key] = samples * (LEVEL / np.sqrt(np.mean(samples ** 2)))
        return self._spoken[key]
