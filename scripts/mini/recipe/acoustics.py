"""Signals in numpy: levels, loudness, rates, rooms, noise, WAV files. float32 or float64, mono."""
import math
import pathlib
import subprocess
import tempfile
import wave
from fractions import Fraction

import numpy as np
from scipy import fft, signal


def decibels(level_db):
    return 10.0 ** (level_db / 20.0)


def rms(samples):
    return math.sqrt(float(np.mean(np.square(samples, dtype=np.float64))) + 1e-20)


def resample(samples, from_hz, to_hz):
    """Polyphase; the ratio to 1 part in 10 000 or better."""
    ratio = Fraction(round(to_hz), round(from_hz)).limit_denominator(200)
    return signal.resample_poly(samples, ratio.numerator, ratio.denominator)


def k_weight(samples, rate_hz):
    """Two biquads of the RBJ cookbook: high shelf 1500 Hz +4 dB, high-pass 38 Hz."""
    gain, w = 10 ** (4.0 / 40), 2 * math.pi * 1500.0 / rate_hz
    alpha, root = math.sin(w) / 2 * math.sqrt(2), 2 * math.sqrt(gain)
    cos = math.cos(w)
    shelf = ([gain * (gain + 1 + (gain - 1) * cos + root * alpha), -2 * gain * (gain - 1 + (gain + 1) * cos),
              gain * (gain + 1 + (gain - 1) * cos - root * alpha)],
             [gain + 1 - (gain - 1) * cos + root * alpha, 2 * (gain - 1 - (gain + 1) * cos),
              gain + 1 - (gain - 1) * cos - root * alpha])
    w = 2 * math.pi * 38.0 / rate_hz
    alpha, cos = math.sin(w) / (2 * 0.5), math.cos(w)
    high_pass = ([(1 + cos) / 2, -(1 + cos), (1 + cos) / 2], [1 + alpha, -2 * cos, 1 - alpha])
    for b, a in (shelf, high_pass):
        samples = signal.lfilter(b, a, samples)
    return samples


def loudness_lufs(samples, rate_hz):
    """Gated loudness, with the filters above (BS.1770 in structure)."""
    weighted = np.square(k_weight(samples.astype(np.float64), rate_hz))
    blocks = max(1, round((len(samples) / rate_hz - 0.4) / 0.1) + 1)
    edges = [(int(0.1 * i * rate_hz), int((0.1 * i + 0.4) * rate_hz)) for i in range(blocks)]
    power = np.array([np.sum(weighted[a:b]) / (0.4 * rate_hz) for a, b in edges]) + 1e-20
    level = -0.691 + 10 * np.log10(power)
    loud = power[level > -70]
    if not len(loud):
        return -70.0
    gate = -0.691 + 10 * math.log10(loud.mean()) - 10
    loud = power[(level > -70) & (level > gate)]
    return -0.691 + 10 * math.log10(loud.mean())


def to_loudness(samples, rate_hz, lufs):
    return samples * decibels(lufs - loudness_lufs(samples, rate_hz))


def colored_noise(rng, count, slope):
    """Noise of deviation 1 whose power falls as frequency^-slope (0: white, 1: pink)."""
    size = fft.next_fast_len(count, real=True)
    spectrum = fft.rfft(rng.standard_normal(size))
    noise = fft.irfft(spectrum * np.arange(1, len(spectrum) + 1) ** (-slope / 2), size)[:count]
    return noise / noise.std()


def room(rng, rate_hz, decay_s):
    """An impulse response: the direct sound, some reflections, a decaying tail. decay_s: -60 dB."""
    count = max(2, int(decay_s * rate_hz))
    time = np.arange(count) / rate_hz
    tail = rng.standard_normal(count) * 10 ** (-3 * time / decay_s)
    tail *= decibels(rng.uniform(-14, -6)) / math.sqrt(float(np.sum(tail * tail)))
    tail[:int(0.002 * rate_hz)] = 0
    tail[0] = 1.0
    return tail


def convolve(samples, response):
    return signal.fftconvolve(samples, response)[:len(samples)]


def tilt(samples, rate_hz, low_hz, high_hz):
    """A microphone or a line: a roll-off of one pole below `low_hz` and above `high_hz`."""
    for hz, kind in ((low_hz, "high"), (high_hz, "low")):
        samples = signal.lfilter(*signal.butter(1, hz, kind, fs=rate_hz), samples)
    return samples


def write_wav(path, samples, rate_hz):
    pcm = np.clip(np.round(np.asarray(samples) * 32768), -32768, 32767).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(pcm.tobytes())


def write_compact(path, samples, rate_hz):
    """16 kHz and four bits a sample (Microsoft's ADPCM), which every decoder turns into the same samples."""
    low_hz = 16000
    with tempfile.TemporaryDirectory() as folder:
        plain = pathlib.Path(folder) / "plain.wav"
        write_wav(plain, resample(samples, rate_hz, low_hz), low_hz)
        subprocess.run(["sox", "-D", str(plain), "-e", "ms-adpcm", str(path)], check=True)


def read_wav(path):
    """(float64 samples of the first channel, rate)."""
    with wave.open(str(path)) as file:
        pcm = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        return pcm[::file.getnchannels()] / 32768.0, file.getframerate()
