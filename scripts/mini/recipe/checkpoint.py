"""Writes a checkpoint's folder: config, language model, codec, tokenizer, voices."""
import json
import pathlib
import shutil

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from . import acoustics
from .codec import Codec
from .lm import LanguageModel

NAMES = {"moshi_name": "model.safetensors", "mimi_name": "mimi.safetensors",
         "tokenizer_name": "tokenizer_spm.model"}
# The codec is trained in float32 and shipped in bfloat16. It is rounded before anything is encoded
# with it, so that the codes the language model learns are those that the shipped codec gives.
STORED = torch.bfloat16


def round_to_stored(module):
    """Buffers (the codebooks) stay: they are small, and the order of distances hangs on them."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(parameter.to(STORED).float())


def prompt_tokens(codec, config, device):
    """(silence_tokens, sine_tokens): the codes of a steady state, those of one frame in it."""
    codebooks, rate_hz = config["n_q"] // 2, config["mimi"]["sample_rate"]
    frames = 50
    time = np.arange(frames * codec.frame_samples) / rate_hz
    signals = (np.zeros_like(time), 0.5 * np.sin(2 * np.pi * 440 * time))
    tokens = []
    for signal in signals:
        pcm = torch.from_numpy(signal.astype(np.float32)).to(device)[None, None]
        with torch.no_grad():
            tokens.append(codec.encode(pcm)[0, :codebooks, frames - 5].tolist())
    return tokens


def stored(tensors, dtype):
    return {name: value.detach().to("cpu", dtype).contiguous() for name, value in tensors.items()}


def write(folder, config, codec, model, tokenizer, voices, dtype=STORED):
    """`config` with its silence and sine tokens; `voices`: {name: float pcm at the codec's rate}."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(stored(model.checkpoint_tensors(), dtype), folder / NAMES["moshi_name"])
    books = {name for name, _ in codec.named_buffers()}
    tensors = codec.state_dict()
    save_file({**stored({n: v for n, v in tensors.items() if n not in books}, dtype),
               **stored({n: v for n, v in tensors.items() if n in books}, torch.float32)},
              folder / NAMES["mimi_name"])
    shutil.copyfile(tokenizer, folder / NAMES["tokenizer_name"])
    (folder / "config.json").write_text(json.dumps({**config, **NAMES}, indent=1) + "\n", encoding="utf-8")
    for name in NAMES.values():
        (folder / name).chmod(0o644)
    if voices:
        (folder / "voices").mkdir(exist_ok=True)
    for name, pcm in voices.items():
        acoustics.write_wav(folder / "voices" / f"{name}.wav", pcm, config["mimi"]["sample_rate"])
    return folder


def read(folder, device="cpu"):
    """(config, codec, model) of a checkpoint's folder, in float32."""
    folder = pathlib.Path(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    codec, model = Codec(config["mimi"]), LanguageModel(config)
    for own, name in ((codec.state_dict(), "mimi_name"), (model.checkpoint_tensors(), "moshi_name")):
        tensors = load_file(folder / config[name])
        if own.keys() != tensors.keys():
            raise ValueError(f"{folder / config[name]}: other tensors than config.json says: "
                             f"{sorted(own.keys() ^ tensors.keys())[:5]}")
        for key, value in own.items():
            value.copy_(tensors[key])
    return config, codec.to(device).eval(), model.to(device).eval()
