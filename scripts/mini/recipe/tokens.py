"""Recordings to tokens: the tokenizer, the codec's codes, and when each piece of a word is said."""
import os
import pathlib
import random

import numpy as np
import sentencepiece
import torch

from . import acoustics, data, texts
from .prompts import EPAD, PAD

WARM_FRAMES = 12   # of silence before what is encoded: the codec's steady state
VOICE_PROMPT_S = 3.0


def train_tokenizer(path, pieces, seed):
    """Every word of the agent and of its prompts is one piece, with the space before it; other words are spelled
    with what is left of the vocabulary."""
    rng = random.Random(seed)
    corpus = [*texts.agent_sentences(), *texts.prompts()]
    user = texts.User(rng)
    words = {word.strip(".,?:") for text in corpus for word in text.split()}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus + [user.sentence() for _ in range(300)]),
        model_prefix=str(path.with_suffix("")), vocab_size=pieces, hard_vocab_limit=False, model_type="unigram",
        unk_id=EPAD, bos_id=1, eos_id=2, pad_id=PAD, normalization_rule_name="identity", minloglevel=2,
        user_defined_symbols=["<system>", *sorted("\u2581" + word for word in words)],
        required_chars="".join(chr(code) for code in range(33, 127)), split_digits=True)
    path.with_suffix(".vocab").unlink()


def text_stream(tokenizer, words):
    """[(frame, id)] of a sentence whose words begin at the given (real) frames, from frame -1 on: the pieces of a
    word from the frame in which it begins, EPAD in the frame before where that is free."""
    stream, free = [], -1
    for word, begin in words:
        pieces = tokenizer.encode(word)
        frame = max(int(begin), free)
        if frame - 1 >= free:
            stream.append((frame - 1, EPAD))
        stream += [(frame + i, piece) for i, piece in enumerate(pieces)]
        free = frame + len(pieces)
    return stream


@torch.no_grad()
def encode(codec, samples, codebooks, device):
    """float samples in whole frames -> [K, frames] int16."""
    pcm = torch.from_numpy(np.ascontiguousarray(samples, dtype=np.float32)).to(device)
    return codec.encode(pcm[None, None])[0, :codebooks].cpu().numpy().astype(np.int16)


def voice_prompt(recordings, voice, rng):
    """About VOICE_PROMPT_S of that voice: sentences one after another, at the level that prompts have."""
    clips = [entry for entry in recordings.index if entry["voice"] == voice]
    parts, wanted = [], int(VOICE_PROMPT_S * data.RATE_HZ)
    while sum(map(len, parts)) < wanted:
        entry = rng.choice(clips)
        parts.append(recordings.samples(entry)[:entry["frames"] * data.FRAME])
    samples = np.concatenate(parts)[:wanted]
    samples[-480:] *= np.linspace(1, 0, 480)
    samples = acoustics.to_loudness(samples, data.RATE_HZ, data.AGENT_LUFS)
    return np.pad(samples, (0, -len(samples) % data.FRAME)).astype(np.float32)


def encode_all(codec, recordings, config, profile, tokenizer, seed, device, path):
    """A file with every code that the language model is trained on."""
    recordings = pathlib.Path(recordings)
    codebooks = config["n_q"] // 2
    out = {"clips": [], "users": [], "held_out": [], "voices": {}}
    agent = data.Recordings(recordings / "agent.npz")
    silence = np.zeros(WARM_FRAMES * data.FRAME, dtype=np.float32)
    for entry in agent.index:
        codes = encode(codec, np.concatenate((silence, agent.samples(entry))), codebooks, device)
        codes = codes[:, WARM_FRAMES:WARM_FRAMES + entry["frames"]]
        stream = [pair for pair in text_stream(tokenizer, entry["words"]) if pair[0] < entry["frames"]]
        out["clips"].append({"voice": entry["voice"], "text": entry["text"], "codes": codes, "stream": stream})
    rng = random.Random(seed)
    for voice in data.AGENT_VOICES:
        prompts = [voice_prompt(agent, voice, rng) for _ in range(profile["voice_prompts"])]
        out["voices"][voice] = {"pcm": prompts[0],
                                "codes": [encode(codec, prompt, codebooks, device) for prompt in prompts]}
    for name, key in (("users.npz", "users"), ("users_held_out.npz", "held_out")):
        users = data.Recordings(recordings / name)
        for entry in users.index:
            out[key].append({"turns": entry["turns"],
                             "codes": encode(codec, users.samples(entry), codebooks, device)})
    beside = path.with_suffix(".part")
    torch.save(out, beside)
    os.replace(beside, path)
    return out
