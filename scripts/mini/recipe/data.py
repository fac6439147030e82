"""The recordings that everything is trained on.

  agent.npz            every sentence of the agent in each of its voices, once: clean, at -24 LUFS
  agent_more.npz       other sentences in these voices, for the codec
  agent_held_out.npz   and some that nothing is trained on
  users.npz            sessions: one user in one room, turn after turn, with long silences in between
  users_held_out.npz   the same with voices, texts, rooms and noises that nothing is trained on

Each holds `pcm` int16 at the codec's rate, all recordings one after another, and `index`, JSON: where each
lies and what happens in it. Times in the index are frames of 80 ms from the recording's start, real where they
are not called frames.
"""
import concurrent.futures
import json
import os
import pathlib
import random

import numpy as np

from . import acoustics, texts
from .speech import Speech, trimmed

RATE_HZ = 24000
FRAME = 1920
HALF_FRAME = FRAME // 2
AGENT_LUFS = -24.0
AGENT_RATE = 1.1
AGENT_VOICES = {"MINIF0": "flite:slt", "MINIM0": "flite:rms"}
FIRST_WORD_S = 0.04  # where the first word begins in an agent's clip

TRAIN_VOICES = (
    "flite:awb", "flite:kal16", "flite:awb", "flite:kal16", "festival:kal_diphone",
    "espeak:en-us", "espeak:en-gb", "espeak:en-us+m1", "espeak:en-us+m2", "espeak:en-gb-x-rp+m3", "espeak:en-us+m4",
    "espeak:en-gb-x-rp+m5", "espeak:en-us+m6", "espeak:en-us+f1", "espeak:en-gb-x-rp+f2", "espeak:en-us+f3",
    "espeak:en-gb-x-rp+f5", "espeak:en-gb-x-gbclan", "espeak:en-gb-x-gbcwmd+m1", "espeak:en-us+klatt2",
    "espeak:en-gb-x-rp+klatt4", "espeak:en-us+Alicia", "espeak:en-us+Michael", "espeak:en-gb-x-rp+steph2",
    "espeak:en-us+Mr serious", "espeak:en-us+Diogo", "espeak:en-gb-x-rp+grandma", "espeak:en-us+victor",
    "espeak:en-us-nyc", "espeak:en-us+anika")
HELD_OUT_VOICES = (
    "festival:ked_diphone", "espeak:en-gb-x-rp+f4", "espeak:en-gb-scotland+m7", "espeak:en-us+Andrea",
    "espeak:en-029+m8", "espeak:en-gb-x-rp+linda", "espeak:en-us+Henrique", "espeak:en-us+belinda",
    "espeak:en-gb-x-rp+klatt6", "espeak:en-us+travis")

PHONES = ("pau", "aa", "ae", "ah", "ao", "aw", "ax", "ay", "b", "ch", "d", "dh", "eh", "er", "ey", "f", "g", "hh",
          "ih", "iy", "jh", "k", "l", "m", "n", "ng", "ow", "oy", "p", "r", "s", "sh", "t", "th", "uh", "uw", "v",
          "w", "y", "z", "zh")
UNKNOWN = -100


def phone_labels(phones, shift_s, half_frames):
    """The phone in the middle of each half frame; `shift_s` is added to the phones' times."""
    labels = np.zeros(half_frames, dtype=np.int64)
    place = 0
    for i in range(half_frames):
        at_s = (i + 0.5) * HALF_FRAME / RATE_HZ - shift_s
        while place < len(phones) and phones[place][1] < at_s:
            place += 1
        if at_s > 0 and place < len(phones):
            name = phones[place][0]
            labels[i] = PHONES.index(name) if name in PHONES else 0
    return labels


class Recordings:
    """Audio with its index, to write and to read."""

    def __init__(self, path=None):
        self.pcm, self.index = [], []
        if path:
            with np.load(path) as file:
                self.pcm = file["pcm"]
                self.index = json.loads(bytes(file["index"]))

    def add(self, samples, entry):
        pcm = np.clip(np.round(samples * 32768), -32768, 32767).astype(np.int16)
        begin = self.index[-1]["begin"] + self.index[-1]["count"] if self.index else 0
        self.pcm.append(pcm)
        self.index.append({**entry, "begin": begin, "count": len(pcm)})

    def write(self, path):
        beside = pathlib.Path(f"{path}.part")
        with open(beside, "wb") as file:
            np.savez(file, pcm=np.concatenate(self.pcm),
                     index=np.frombuffer(json.dumps(self.index).encode(), dtype=np.uint8))
        os.replace(beside, path)

    def samples(self, entry):
        return self.pcm[entry["begin"]:entry["begin"] + entry["count"]].astype(np.float32) / 32768


def own_speech():
    """This process's synthesisers."""
    if not hasattr(own_speech, "speech"):
        own_speech.speech = Speech()
    return own_speech.speech


# ---- the agent ------------------------------------------------------------------

SILENCE_FRAMES = 12  # after a sentence of the agent, and between two pieces of a user's turn


def agent_clip(speech, voice, text):
    """(samples in whole frames, words [(text, frame)], labels)."""
    said = speech.say(voice, text, AGENT_RATE)
    if len(said.words) != len(text.split()):
        raise ValueError(f"'{text}' is {len(said.words)} words to the synthesiser")
    samples = acoustics.resample(said.samples, said.rate_hz, RATE_HZ)
    begin_s = said.words[0][1] - FIRST_WORD_S
    end_s = min(said.words[-1][2] + 0.06, len(samples) / RATE_HZ)
    samples = samples[round(begin_s * RATE_HZ):round(end_s * RATE_HZ)]
    fade = np.linspace(0, 1, RATE_HZ // 100)
    samples[:len(fade)] *= fade
    samples[-len(fade):] *= fade[::-1]
    samples = np.pad(acoustics.to_loudness(samples, RATE_HZ, AGENT_LUFS), (0, -len(samples) % FRAME))
    words = [(word, (start_s - begin_s) * RATE_HZ / FRAME)
             for word, (_, start_s, _) in zip(text.split(), said.words)]
    labels = phone_labels(said.phones, -begin_s, len(samples) // HALF_FRAME)
    return samples, words, labels


def _agent_clip(arguments):
    name, text = arguments
    return name, text, agent_clip(own_speech(), AGENT_VOICES[name], text)


def make_agent(path, sentences, jobs):
    """A second of silence follows each sentence; `frames` counts without it."""
    recordings = Recordings()
    work = [(name, text) for name in AGENT_VOICES for text in sentences]
    with concurrent.futures.ProcessPoolExecutor(jobs) as pool:
        for name, text, (samples, words, labels) in pool.map(_agent_clip, work, chunksize=8):
            silence = np.zeros(SILENCE_FRAMES * FRAME)
            labels = np.pad(labels, (0, 2 * SILENCE_FRAMES))
            recordings.add(np.concatenate((samples, silence)), {
                "voice": name, "text": text, "words": words, "labels": labels.tolist(),
                "frames": len(samples) // FRAME})
    recordings.write(path)


# ---- users ----------------------------------------------------------------------


class Speaker:
    """One user: a voice at a rate and a size of head."""

    def __init__(self, speech, rng, voices):
        self.speech, self.rng = speech, rng
        self.voice = rng.choice(voices)
        self.rate, self.pitch = rng.uniform(0.85, 1.25), rng.randint(20, 85)
        self.size = rng.uniform(0.88, 1.14)

    def piece(self, text, last=True):
        """(samples at RATE_HZ, phones or none), trimmed to speech. A piece that is not the last of its turn
        is spoken as one that goes on."""
        said = self.speech.say(self.voice, text if last else f"{text},", self.rate, self.pitch)
        begin, end = trimmed(said.samples, said.rate_hz)
        samples = acoustics.resample(said.samples[begin:end], round(said.rate_hz * self.size), RATE_HZ)
        phones = [(name, (at_s - begin / said.rate_hz) / self.size) for name, at_s in said.phones]
        return samples / acoustics.rms(samples), phones

    def sentence(self, parts):
        """One sentence in one or two pieces: spoken in one go and cut where the synthesiser tells the words'
        times, else as pieces that go on."""
        if len(parts) == 1 or not self.voice.startswith("flite"):
            return [self.piece(part, part is parts[-1]) for part in parts]
        said = self.speech.say(self.voice, " ".join(parts), self.rate, self.pitch)
        begin, end = trimmed(said.samples, said.rate_hz)
        cut = round(said.words[len(parts[0].split())][1] * said.rate_hz)
        pieces = []
        for first, last in ((begin, cut), (cut, end)):
            samples = acoustics.resample(said.samples[first:last], round(said.rate_hz * self.size), RATE_HZ)
            fade = np.linspace(0, 1, RATE_HZ // 100)
            samples[:len(fade)] *= fade
            samples[-len(fade):] *= fade[::-1]
            phones = [(name, (at_s - first / said.rate_hz) / self.size) for name, at_s in said.phones
                      if at_s > first / said.rate_hz]
            pieces.append((samples / acoustics.rms(samples), phones))
        return pieces


class Place:
    """What is between a mouth and the file: room, line, noise, level."""

    def __init__(self, rng, held_out=False):
        self.numpy = np.random.default_rng(rng.getrandbits(32))
        self.level_db = rng.uniform(-34, -17)
        self.snr_db = rng.choice((None, rng.uniform(30, 45), rng.uniform(18, 30)))
        self.slope = rng.choice((0.6, 1.4, 2.0) if held_out else (0.0, 1.0, 1.7))
        self.decay_s = rng.choice((0.0, rng.uniform(0.12, 0.2) if held_out else rng.uniform(0.05, 0.4)))
        self.band = (rng.uniform(30, 250), rng.uniform(3500, 11000)) if rng.random() < 0.6 else None

    def apply(self, samples):
        level = acoustics.decibels(self.level_db)
        out = samples * level
        if self.decay_s > 0:
            out = acoustics.convolve(out, acoustics.room(self.numpy, RATE_HZ, self.decay_s))
        if self.band:
            out = acoustics.tilt(out, RATE_HZ, *self.band)
        if self.snr_db is not None:
            noise = acoustics.colored_noise(self.numpy, len(out), self.slope)
            out = out + noise * (level * acoustics.decibels(-self.snr_db))
        return np.clip(out, -1, 1)


LEAD_FRAMES = 38  # silence that a session begins with: the noise between the turns


def session(speech, seed, held_out, turns):
    """(samples, entry). entry["turns"]: {"kind", "pieces": [(start, end)]}, in frames."""
    rng = random.Random(seed)
    user = texts.User(rng, "held_out" if held_out else "train")
    speaker = Speaker(speech, rng, HELD_OUT_VOICES if held_out else TRAIN_VOICES)
    place = Place(rng, held_out)
    kinds = ["turn", "turn", "turn", "split", "split", "story", "interruption", "interruption", "backchannel"]
    rng.shuffle(kinds)
    parts, entry = [np.zeros(LEAD_FRAMES * FRAME)], []
    phones_known = speaker.voice.startswith("flite")
    labels = [np.zeros(2 * LEAD_FRAMES, dtype=np.int64)]
    now = LEAD_FRAMES * FRAME
    for kind in (kinds * (1 + turns // len(kinds)))[:turns]:
        if kind == "story":
            story = user.story(rng.randint(3, 5))
            pieces = [speaker.piece(text, text is story[-1]) for text in story]
        elif kind == "split":
            pieces = speaker.sentence(user.split(user.sentence()))
        elif kind == "turn":
            pieces = [speaker.piece(user.sentence())]
        else:
            pieces = [speaker.piece(user.expand(kind))]
        places = []
        for samples, phones in pieces:
            # Anywhere in a frame: nobody speaks on a raster.
            begin = now + rng.randrange(FRAME)
            end = begin + len(samples)
            after = (-(-end // FRAME) + SILENCE_FRAMES) * FRAME
            part = np.zeros(after - now)
            part[begin - now:end - now] = samples
            parts.append(part)
            label = phone_labels(phones, (begin - now) / RATE_HZ, len(part) // HALF_FRAME)
            if not phones_known:
                # Only that there is speech, not which: no label in it.
                label[(begin - now) // HALF_FRAME:-(-(end - now) // HALF_FRAME)] = UNKNOWN
            labels.append(label)
            places.append((begin / FRAME, end / FRAME))
            now = after
        entry.append({"kind": kind, "pieces": places})
    samples = place.apply(np.concatenate(parts))
    return samples, {"voice": speaker.voice, "turns": entry, "labels": np.concatenate(labels).tolist()}


def _session(arguments):
    return session(own_speech(), *arguments)


def make_users(path, count, seed, held_out, turns, jobs):
    recordings = Recordings()
    work = [(f"{seed}/{i}", held_out, turns) for i in range(count)]
    with concurrent.futures.ProcessPoolExecutor(jobs) as pool:
        for samples, entry in pool.map(_session, work, chunksize=4):
            recordings.add(samples, entry)
    recordings.write(path)


# ---- all of it --------------------------------------------------------------------


def make(folder, profile, seed, jobs, say=print):
    """What is missing of the files above. `profile`: how many of each, see profiles.json."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    user, stranger = texts.User(rng), texts.User(rng, "held_out")
    more = list(dict.fromkeys(user.sentence() for _ in range(profile["more_sentences"])))
    held_out = list(dict.fromkeys(stranger.sentence() for _ in range(profile["held_out_sentences"])))
    work = {
        "agent.npz": lambda path: make_agent(path, texts.agent_sentences(), jobs),
        "agent_more.npz": lambda path: make_agent(path, more, jobs),
        "agent_held_out.npz": lambda path: make_agent(path, held_out, jobs),
        "users.npz": lambda path: make_users(path, profile["sessions"], seed, False, 9, jobs),
        "users_held_out.npz": lambda path: make_users(path, profile["held_out_sessions"], seed, True, 9, jobs),
    }
    for name, do in work.items():
        if not (folder / name).exists():
            do(folder / name)
            say(f"{name}: {(folder / name).stat().st_size / 2 / RATE_HZ / 60:.0f} minutes")
