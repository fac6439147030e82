"""Dialogues put together from codes: who speaks when. Nothing here hears or sees audio.

Times are frames of 80 ms. The user's track is made of a session's own frames: its turns, pasted in, and between
them the noise that the session begins with. A frame of the agent is chosen with knowledge of the user up to the
frame before, and is heard one frame later, which the latencies below are without.
"""
import math
import random

import numpy as np

from . import data, texts
from .prompts import EPAD, PAD, prompt_frames, wrap

ANSWER = (5, 6, 6, 6, 6, 6, 7, 7, 7, 8, 8, 9, 10, 12, 15, 20)  # from the end of the user's turn to the answer
STOPPED = 3                                 # frames in which falling silent counts more
YIELD = (4, 4, 5, 5, 5, 5, 6, 6, 7, 9)      # from the start of an interruption to silence
PAUSE = ((3, 6), (5, 10), (8, 16))          # inside a turn
BEFORE, AFTER = 2, 6                        # frames pasted around a piece: its onset and its decay
LONG_TURN = 40                              # from this on a backchannel fits into a pause
BANK = (8, data.LEAD_FRAMES - 4)            # frames of a session that are noise only


class UserTrack:
    """Which frame of the session is heard at each frame."""

    def __init__(self, session, rng, frames):
        self.session = session
        first, last = BANK
        shift = rng.randrange(last - first)
        self.source = first + (np.arange(frames) + shift) % (last - first)
        self.busy = np.zeros(frames, dtype=bool)

    def say(self, piece, at):
        """`piece`: (start, end) in the session, real. It begins in frame `at`; returns its end, real."""
        start, end = piece
        first, last = math.floor(start), math.ceil(end)
        place = np.arange(first - BEFORE, last + AFTER)
        target = place - first + at
        inside = (target >= 0) & (target < len(self.source))
        self.source[target[inside]] = place[inside]
        self.busy[at:min(at + last - first, len(self.busy))] = True
        return at + end - first

    def codes(self):
        return self.session["codes"][:, self.source]


class AgentTrack:
    def __init__(self, config, clips, voice, frames):
        self.clips, self.voice = clips, voice
        codebooks = config["n_q"] // 2
        self.silence = np.array(config["silence_tokens"][:codebooks], dtype=np.int16)
        self.codes = np.repeat(self.silence[:, None], frames, 1)
        self.text = np.full(frames, PAD, dtype=np.int16)
        self.speaking = np.zeros(frames, dtype=bool)
        self.stopped = np.zeros(frames, dtype=bool)  # just now, for the user's sake
        self.choice = np.ones(frames)                # how much more the words count that the prompt or the moment decides
        self.begins = np.zeros(frames, dtype=bool)   # the sound that tells which sentence it is

    def say(self, sentences, at, rng):
        """Returns the frame after the last."""
        for i, sentence in enumerate(sentences):
            clip = self.clips[self.voice, sentence]
            at += rng.randint(2, 4) if i and sentences[i - 1][-1] in ".?" else 0
            count = min(clip["codes"].shape[1], len(self.text) - at)
            if count <= 0:
                return len(self.text)
            self.codes[:, at:at + count] = clip["codes"][:, :count]
            self.speaking[at:at + count] = True
            said, weight = 0, NAME if sentence in texts.SPOKEN_NAMES else CHOICE
            self.begins[at:at + 3] = True
            for frame, token in clip["stream"]:
                if 0 <= at + frame < len(self.text) and (token != EPAD or self.text[at + frame] == PAD):
                    self.text[at + frame] = token
                    self.choice[at + frame] = weight if token != EPAD and said < 2 else 1
                said += token != EPAD
            at += count
        return at

    def stop(self, at):
        """Silence from frame `at` on."""
        self.codes[:, at:] = self.silence[:, None]
        self.text[at:] = PAD
        self.choice[at:] = 1
        self.begins[at:] = False
        self.speaking[at:] = False
        self.stopped[at:at + STOPPED] = True


class Turns:
    """A session's turns, by kind, each until all were used."""

    def __init__(self, session, rng):
        self.session, self.rng, self.left = session, rng, {}

    def next(self, *kinds):
        pool = self.left.get(kinds)
        if not pool:
            pool = [turn for turn in self.session["turns"] if turn["kind"] in kinds]
            self.rng.shuffle(pool)
            self.left[kinds] = pool
        return pool.pop()["pieces"]


def user_turn(user, agent, pieces, at, rng, backchannels=True):
    """One turn with its pauses. In a long one the agent may say that it listens. Returns its end, real."""
    began = at
    for i, piece in enumerate(pieces):
        end = user.say(piece, at)
        if i + 1 == len(pieces):
            return end
        pause = rng.randint(*rng.choice(PAUSE))
        if backchannels and end - began > LONG_TURN and rng.random() < 0.5:
            agent.say([rng.choice(texts.BACKCHANNELS)], math.ceil(end) + rng.randint(2, 3), rng)
            began = end
        at = math.ceil(end) + pause


def dialogue(config, codes, sessions, role, rng, frames):
    """(user, agent): tracks of that many frames, from a random session."""
    session = rng.choice(sessions)
    user, turns = UserTrack(session, rng, frames), Turns(session, rng)
    agent = AgentTrack(config, codes["clips"], role.voice, frames)
    at = rng.randint(4, 25)
    interruption = None
    while at < frames:
        if interruption is None:
            pieces = turns.next("turn", "split", "story")
        else:
            pieces = interruption
        end = user_turn(user, agent, pieces, at, rng)
        start = math.ceil(end) + rng.choice(ANSWER)
        stop = agent.say(role.reply(rng.choice((1, 1, 2, 2, 3))), start, rng)
        draw, interruption = rng.random(), None
        if draw < 0.10:
            # The user was not done after all.
            at = start + rng.randint(0, 8)
            interruption = turns.next("split", "turn")[-1:]
        elif draw < 0.40 and stop - start > 24:
            at = start + rng.randint(10, stop - start - 8)
            interruption = turns.next("interruption", "turn")
        else:
            if draw < 0.55 and stop - start > 30:
                user.say(turns.next("backchannel")[0], start + rng.randint(8, stop - start - 12))
            at = stop + rng.randint(4, 30)
            continue
        agent.stop(min(at + rng.choice(YIELD), frames))
    return user, agent


class Role(texts.Agent):
    """Who the agent is: its text prompt and its voice."""

    def __init__(self, rng, role=None):
        super().__init__(rng, role)
        self.voice = rng.choice(list(data.AGENT_VOICES))


def system_prompt(config, codes, tokenizer, role, rng, no_voice=0.0, no_text=0.0):
    """Without its voice or its text by that chance each."""
    voice = rng.choice(codes["voices"][role.voice]["codes"])
    if rng.random() < no_voice:
        voice = voice[:, :0]
    text = [] if rng.random() < no_text else tokenizer.encode(wrap(role.prompt()))
    return prompt_frames(config, voice, text)


# What a frame of the text stream counts: a word or its announcement, silence in which the agent could speak up,
# silence while the user speaks. The less the second counts, the sooner it answers, and the more often into a pause.
WORD, DECISION, BUSY = 1.0, 0.4, 0.2
# The words that tell which sentence it is, and those of the prompt: the others follow from them.
CHOICE, NAME = 4.0, 8.0
# What falling silent for the user's sake counts, in text and audio: it is rare, and to miss it is to talk over the user.
STOP = 3.0
OMITTED = 0.06


def sample(config, codes, tokenizer, seed, frames):
    """A sequence to train on: tokens [1 + n_q, frames] int64, and what each frame of the text stream and of the
    agent's audio counts, [frames] float32 each. One in five begins amid a dialogue, without a prompt, as the window
    shows it later."""
    rng = random.Random(seed)
    role = Role(rng)
    prompt = system_prompt(config, codes, tokenizer, role, rng, OMITTED, OMITTED).numpy()
    amid = rng.random() < 0.2
    count = frames + 150 if amid else frames - prompt.shape[1]
    user, agent = dialogue(config, codes, codes["users"], role, rng, count)
    tokens = np.concatenate((agent.text[None], agent.codes, user.codes())).astype(np.int64)
    weights = np.where(agent.text != PAD, WORD, np.where(user.busy & ~agent.speaking, BUSY, DECISION))
    weights = weights * agent.choice
    # Silence is one code for ever: a few of its frames are enough.
    heard = agent.speaking | (np.random.default_rng(rng.getrandbits(32)).random(count) < 0.06)
    heard = np.where(agent.begins, CHOICE, heard)
    weights, heard = (np.where(agent.stopped, STOP, each).astype(np.float32) for each in (weights, heard))
    if amid:
        keep = slice(count - frames, None)
        return tokens[:, keep], weights[keep], heard[keep]
    return behind(prompt, tokens, weights, heard)


def behind(prompt, tokens, weights, heard):
    """The same with the prompt before it, which counts nothing."""
    nothing = np.zeros(prompt.shape[1], dtype=np.float32)
    return (np.concatenate((prompt, tokens), 1), np.concatenate((nothing, weights)), np.concatenate((nothing, heard)))


def introduction(config, codes, tokenizer, seed, frames):
    """As `sample`: the beginning of a dialogue, up to the agent's introduction, of which the names in the text prompt
    alone count. Nothing else asks for a look at single words of the prompt, and among everything else that look was not
    learned in 7000 steps."""
    rng = random.Random(seed)
    while True:
        role = Role(rng)
        prompt = system_prompt(config, codes, tokenizer, role, rng, no_voice=0.7).numpy()
        count = frames - prompt.shape[1]
        if role.introduced or count < 1:
            continue
        session = rng.choice(codes["users"])
        user, agent = UserTrack(session, rng, count), AgentTrack(config, codes["clips"], role.voice, count)
        end = user_turn(user, agent, Turns(session, rng).next("turn", "split"), rng.randint(4, 8), rng)
        said = texts.introduction(role.role, role.first, role.name)
        if agent.say(said, math.ceil(end) + rng.choice(ANSWER), rng) < count:
            break
    tokens = np.concatenate((agent.text[None], agent.codes, user.codes())).astype(np.int64)
    named, begins = (marks.astype(np.float32) for marks in (agent.choice == NAME, agent.begins))
    return behind(prompt, tokens, named, begins)
