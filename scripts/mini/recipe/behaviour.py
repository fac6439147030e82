"""How the model behaves, by its tokens, towards users it has never heard: a small table in minutes. The figures
that count are those of ppx-eval on audio."""
import math
import random

import numpy as np
import torch

from . import dialogue
from .rollout import rollout

FRAME_S = 0.08
TASKS = ("turn", "interruption", "pause", "backchannel")
TAIL = 55  # frames after the user's last word: an answer is due within 3 s


def scene(task, config, codes, tokenizer, rng):
    """(frames, prompt's length, the user's marks): the user's side of one task."""
    session = rng.choice(codes["held_out"])
    role = dialogue.Role(rng)
    prompt = dialogue.system_prompt(config, codes, tokenizer, role, rng)
    user, turns = dialogue.UserTrack(session, rng, 260), dialogue.Turns(session, rng)
    silent = dialogue.AgentTrack(config, {}, role.voice, 260)

    def say(pieces, at):
        return dialogue.user_turn(user, silent, pieces, at, rng, backchannels=False)

    start = rng.randint(10, 18)
    if task == "turn":
        end = say(turns.next("turn"), start)
    elif task == "interruption":
        answered = math.ceil(say(turns.next("turn"), start)) + 7
        start = answered + rng.randint(18, 24)
        end = say(turns.next("interruption"), start)
    else:
        end = say(turns.next("split" if task == "pause" else "story"), start)
    count = min(260, math.ceil(end) + TAIL)
    agent = np.concatenate((silent.text[None], silent.codes))[:, :count]
    frames = torch.from_numpy(np.concatenate((agent, user.codes()[:, :count])).astype(np.int64))
    return torch.cat((prompt, frames), 1), prompt.shape[1], (start, end)


def runs(speaking, gap):
    """[(start, end)] of a bool array, joined over up to `gap` frames."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], speaking.astype(np.int8), [0]))))
    joined = []
    for start, end in edges.reshape(-1, 2).tolist():
        if joined and start - joined[-1][1] <= gap:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def judge(task, speech, marks):
    """{figure: value} of one scene. The agent is heard a frame after its tokens' frame."""
    start, end = marks
    speech = [(a + 1, b + 1) for a, b in speech]
    if task in ("pause", "backchannel"):
        inside = [(a, b) for a, b in speech if start < a < end]
        took = any(b - a >= 1 / FRAME_S for a, b in inside)
        return {"takeover": took, **({"given": bool(inside)} if task == "backchannel" else {})}
    values = {}
    if task == "interruption":
        spoken = [b for a, b in speech if a < start < b]
        if not spoken:
            return {"exercised": False}
        values = {"exercised": True, "stop_s": (spoken[0] - start) * FRAME_S,
                  "yields": spoken[0] - start <= 0.8 / FRAME_S}
    after = [a for a, b in speech if a > end - 0.5 / FRAME_S and a > start + 1]
    answered = bool(after) and (after[0] - end) * FRAME_S <= 3.0
    values["takeover"] = answered
    if answered:
        values["latency_s"] = (after[0] - end) * FRAME_S
    return values


def table(model, config, codes, tokenizer, scenes, seed, device, temperature_text=0.7, temperature_audio=0.8):
    """{"task figure": mean (median for seconds)} over that many scenes a task."""
    rng = random.Random(seed)
    torch.manual_seed(seed)
    silence = torch.tensor(config["silence_tokens"][:1], device=device)
    figures = {}
    for task in TASKS:
        made = [scene(task, config, codes, tokenizer, rng) for _ in range(scenes)]
        longest = max(frames.shape[1] for frames, _, _ in made)
        batch = torch.stack([torch.nn.functional.pad(frames, (0, longest - frames.shape[1]), mode="replicate")
                             for frames, _, _ in made])
        known = [length for _, length, _ in made]
        out = rollout(model, batch.to(device), known, temperature_text, temperature_audio)
        speaking = (out[:, 1] != silence).cpu().numpy()
        values = {}
        for row, (frames, length, marks) in enumerate(made):
            speech = runs(speaking[row, length:frames.shape[1] - 1], round(0.5 / FRAME_S))
            for key, value in judge(task, speech, marks).items():
                values.setdefault(key, []).append(float(value))
        for key, numbers in values.items():
            figures[f"{task} {key}"] = np.median(numbers) if key.endswith("_s") else np.mean(numbers)
    return figures
