"""The held-out suite: users whose voices, texts, rooms and noises nothing was trained on, in the folders that
ppx-eval reads, with a manifest for ppx-batch."""
import json
import pathlib
import random

import numpy as np

from . import acoustics, data, dialogue, texts

LEAD_S = 1.2
ANSWER_TAIL_S = 6.0  # an answer is due within 3 s, and should be heard to its end
PAUSE_S = (0.4, 1.0)
STORY_PAUSE_S = (0.3, 0.9)
INTERRUPT_AFTER_S = (1.7, 2.3)  # after the user's question: amid the agent's answer
RATES_HZ = (16000, 24000, 48000)
# What the caller of the demo says, and how long until the next: the third sentence is an interruption.
CALL = (("Hello, I would like to open an account.", 9.0),
        ("Could you tell me more about the card?", 2.2),
        ("Sorry, one moment, when do you open?", 6.5))


class Author:
    """Writes one recording of a user."""

    def __init__(self, speech, seed):
        self.rng = random.Random(seed)
        self.user = texts.User(self.rng, "held_out")
        self.speaker = data.Speaker(speech, self.rng, data.HELD_OUT_VOICES)
        self.place = data.Place(self.rng, held_out=True)
        self.pieces, self.spoken, self.now_s = [], [], LEAD_S

    def say(self, samples, text):
        begin = round(self.now_s * data.RATE_HZ)
        self.pieces.append((begin, samples))
        self.spoken.append({"text": text, "timestamp": [self.now_s, self.now_s + len(samples) / data.RATE_HZ]})
        self.now_s = self.spoken[-1]["timestamp"][1]
        return self.spoken[-1]["timestamp"]

    def sentence(self, kind):
        text = self.user.sentence() if kind == "turn" else self.user.expand(kind)
        return self.say(self.speaker.piece(text)[0], text)

    def with_pauses(self, pieces, pause_s):
        """[(start, end)] of the pauses."""
        pauses = []
        for i, (samples, text) in enumerate(pieces):
            if i:
                before = self.now_s
                self.now_s += self.rng.uniform(*pause_s)
                pauses.append((before, self.now_s))
            self.say(samples, text)
        return pauses

    def wait(self, low_s, high_s=None):
        self.now_s += self.rng.uniform(low_s, high_s if high_s else low_s)

    def audio(self):
        samples = np.zeros(round(self.now_s * data.RATE_HZ))
        for begin, piece in self.pieces:
            samples[begin:begin + len(piece)] = piece[:len(samples) - begin]
        return self.place.apply(samples)


def marked(text, spans):
    return [{"text": text, "timestamp": list(span)} for span in spans]


def turn_taking(author):
    _, end = author.sentence("turn")
    author.wait(ANSWER_TAIL_S)
    return {"turn_taking.json": marked("[TURN-TAKING]", [(end, end + 0.4)])}


def interruption(author):
    author.sentence("turn")
    author.wait(*INTERRUPT_AFTER_S)
    span = author.sentence("interruption")
    author.wait(ANSWER_TAIL_S)
    context, said = (spoken["text"] for spoken in author.spoken)
    return {"interrupt.json": [{"context": context, "interrupt": said, "timestamp": span}]}


def pause_handling(author):
    parts = []
    while len(parts) < 2:
        parts = author.user.split(author.user.sentence())
    pieces = author.speaker.sentence(parts)
    pauses = author.with_pauses([(samples, text) for (samples, _), text in zip(pieces, parts)], PAUSE_S)
    author.wait(0.2)
    return {"pause.json": marked("[PAUSE]", pauses)}


def backchannel(author):
    story = author.user.story(author.rng.randint(5, 7))
    author.with_pauses([(author.speaker.piece(text, text is story[-1])[0], text) for text in story], STORY_PAUSE_S)
    author.wait(0.3)
    return {}


TASKS = {"turn_taking": turn_taking, "interruption": interruption, "pause_handling": pause_handling,
         "backchannel": backchannel}


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def write_call(path, seed):
    """The recording that the demo renders."""
    author = Author(data.own_speech(), f"call/{seed}")
    for text, wait_s in CALL:
        author.say(author.speaker.piece(text)[0], text)
        author.wait(wait_s)
    acoustics.write_compact(path, author.audio(), data.RATE_HZ)


def write(out, samples, seed, compact=False, say=print):
    out, speech, lines = pathlib.Path(out), data.own_speech(), []
    for task, make in TASKS.items():
        for index in range(samples):
            author = Author(speech, f"suite/{seed}/{task}/{index}")
            marks = make(author)
            folder = out / task / str(index + 1)
            folder.mkdir(parents=True)
            rate_hz = author.rng.choice(RATES_HZ)
            if compact:
                acoustics.write_compact(folder / "input.wav", author.audio(), data.RATE_HZ)
            else:
                audio = acoustics.resample(author.audio(), data.RATE_HZ, rate_hz)
                acoustics.write_wav(folder / "input.wav", audio, rate_hz)
            for name, value in marks.items():
                write_json(folder / name, value)
            write_json(folder / "transcription.json", [{"speaker": 0, "item": author.spoken}])
            role = dialogue.Role(author.rng)
            lines.append({"id": f"{task}/{index + 1}", "audio": f"{task}/{index + 1}/input.wav",
                          "text_prompt": role.prompt(), "voice_prompt": role.voice,
                          "seed": author.rng.getrandbits(31)})
        say(f"{task}: {samples} samples")
    with open(out / "manifest.jsonl", "w", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
