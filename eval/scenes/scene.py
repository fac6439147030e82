"""One channel of a dialogue: utterances, each at a known sample of a known rate."""
import dataclasses
import hashlib

import numpy as np

from .speech import edges

# The agent's file; the benchmark's models write this rate.
AGENT_RATE_HZ = 24000
# Starts and durations lie on this grid, which is a whole number of samples at every rate used.
GRID_S = 0.01
# Silences shorter than this do not end a segment, as in the detector.
SEGMENT_GAP_S = 0.1
NOISE_PEAK = 2  # of the floor in every channel, in steps of 16 bit
MASK = (1 << 64) - 1


@dataclasses.dataclass(frozen=True)
class Utterance:
    start: int          # sample of its channel
    pcm: np.ndarray     # int16, begins and ends with speech
    rate_hz: int
    text: str
    voice: str
    peak_db: float      # re full scale
    speaker: str        # "user", "agent" or "other" (somebody else in the user's channel)

    @property
    def end(self):
        """The sample after the last."""
        return self.start + len(self.pcm)

    @property
    def start_s(self):
        return self.start / self.rate_hz

    @property
    def end_s(self):
        return self.end / self.rate_hz

    def words(self):
        """[(text, start_s, end_s)]. The first start and the last end are exact, the times between
        are shares of the letters."""
        texts = self.text.split()
        shares = np.cumsum([0] + [len(text) + 1 for text in texts])
        times = [self.start_s + float(share) / float(shares[-1]) * (self.end_s - self.start_s)
                 for share in shares]
        times[-1] = self.end_s
        return [(text, times[i], times[i + 1]) for i, text in enumerate(texts)]

    def until(self, end):
        """What is left of it where the speaker stops at sample `end`; None for nothing."""
        if end >= self.end:
            return self
        if end <= self.start:
            return None
        kept = self.pcm[:end - self.start]
        kept = kept[:edges(kept)[1]]
        end_s = (self.start + len(kept)) / self.rate_hz
        begun = [text for text, start_s, _ in self.words() if start_s < end_s]
        return dataclasses.replace(self, pcm=kept, text=" ".join(begun))


class Channel:
    """Utterances in the order of time that do not overlap."""

    def __init__(self, rate_hz, utterances=()):
        self.rate_hz = rate_hz
        self.utterances = []
        for utterance in utterances:
            self.add(utterance)

    def __iter__(self):
        return iter(self.utterances)

    def __len__(self):
        return len(self.utterances)

    def add(self, utterance):
        if utterance.rate_hz != self.rate_hz:
            raise ValueError("an utterance of another rate")
        if utterance.start < 0 or (self.utterances and utterance.start < self.utterances[-1].end):
            raise ValueError(f"'{utterance.text}' begins before the utterance before it ends")
        self.utterances.append(utterance)
        return utterance

    def words(self):
        return [word for utterance in self for word in utterance.words()]

    def segments(self):
        """[(start_s, end_s)], utterances less than SEGMENT_GAP_S apart joined."""
        joined = []
        for utterance in self:
            if joined and utterance.start_s - joined[-1][1] < SEGMENT_GAP_S:
                joined[-1] = (joined[-1][0], utterance.end_s)
            else:
                joined.append((utterance.start_s, utterance.end_s))
        return joined

    def render(self, duration_s, noise_key):
        """int16 [samples]: a faint floor of noise, replaced by speech where there is any."""
        pcm = noise(noise_key, round(duration_s * self.rate_hz))
        for utterance in self:
            if utterance.end > len(pcm):
                raise ValueError(f"'{utterance.text}' goes beyond the end")
            pcm[utterance.start:utterance.end] = utterance.pcm
        return pcm


def draw(key, count):
    """A number from 0 to count - 1 that depends on `key` alone."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little") % count


def noise(key, count):
    """int16 [count], uniform in [-NOISE_PEAK, NOISE_PEAK]: SplitMix64's output function on a
    counter, so that no version of numpy changes it."""
    start = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little")
    z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(start)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return ((z >> np.uint64(32)) % np.uint64(2 * NOISE_PEAK + 1)).astype(np.int16) - np.int16(NOISE_PEAK)


def on_grid(seconds):
    return round(seconds / GRID_S) * GRID_S
