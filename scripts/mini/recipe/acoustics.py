"""Signals in numpy: levels, loudness, rates, rooms, noise, WAV files. float32 or float64, mono."""
import math
import wave

import numpy as np


def decibels(level_db):
    return 10.0 ** (level_db / 20.0)


def rms(samples):
    return math.sqrt(float(np.mean(np.square(samples, dtype=np.float64))) + 1e-20)


def resample(samples, from_hz, to_hz):
    """Band-limited, by cutting the spectrum or continuing it with zeros."""
    if from_hz == to_hz:
        return samples
    padded = np.pad(samples, (0, from_hz // 10 + (-len(samples)) % 100))
    count = round(len(padded) * to_hz / from_hz)
    spectrum = np.fft.rfft(padded)
    kept = np.zeros(count // 2 + 1, dtype=complex)
    shared = min(len(spectrum), len(kept))
    kept[:shared] = spectrum[:shared]
    out = np.fft.irfft(kept, count) * (count / len(padded))
    return out[:math.ceil(len(samples) * to_hz / from_hz)]


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
    # The filters' own response, in frequency: they have died away within the padding.
    size = len(samples) + rate_hz
    z = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size)
    response = 1.0
    for b, a in (shelf, high_pass):
        response = response * (b[0] + b[1] * z + b[2] * z * z) / (a[0] + a[1] * z + a[2] * z * z)
    return np.fft.irfft(np.fft.rfft(samples.astype(np.float64), size) * response, size)[:len(samples)]


def loudness_lufs(samples, rate_hz):
    """Gated loudness, with the filters above (BS.1770 in structure)."""
    weighted = np.square(k_weight(samples, rate_hz))
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
    spectrum = np.fft.rfft(rng.standard_normal(count))
    scale = np.arange(1, len(spectrum) + 1, dtype=np.float64) ** (-slope / 2)
    noise = np.fft.irfft(spectrum * scale, count)
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
    size = len(samples) + len(response) - 1
    return np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(response, size), size)[:len(samples)]


def tilt(samples, rate_hz, low_hz, high_hz):
    """A microphone or a line: roll-off of one pole below `low_hz` and above `high_hz`."""
    spectrum = np.fft.rfft(samples)
    hz = np.fft.rfftfreq(len(samples), 1 / rate_hz)
    gain = (1 / np.sqrt(1 + (low_hz / np.maximum(hz, 1)) ** 2)) / np.sqrt(1 + (hz / high_hz) ** 2)
    return np.fft.irfft(spectrum * gain, len(samples))


def write_wav(path, samples, rate_hz):
    pcm = np.clip(np.round(np.asarray(samples) * 32768), -32768, 32767).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(pcm.tobytes())


def read_wav(path):
    """(float64 samples of the first channel, rate)."""
    with wave.open(str(path)) as file:
        pcm = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        return pcm[::file.getnchannels()] / 32768.0, file.getframerate()
