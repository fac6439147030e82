"""Second stage: the language model, on dialogues that are put together anew for every step."""
import numpy as np
import torch
from torch.nn import functional

from . import behaviour, dialogue
from .lm import LanguageModel, delayed
from .progress import Stage

# Chance that a code of the agent is replaced in the input, so that a model that hears its own slips goes on.
NOISE_TEMPORAL, NOISE_DEPTH = 0.06, 0.03
TEXT_WEIGHT, FIRST_CODEBOOK, OTHER_CODEBOOK = 2.0, 3.0, 1.0


class Batches(torch.utils.data.Dataset):
    """Item i, the batch of step i, is the same in every run with the same seed. Of three, one is of whole dialogues, one
    of more and shorter ones (a prompt is learned sooner where there is less between it and what it decides), and one of
    introductions."""

    KINDS = ((dialogue.sample, 1.0), (dialogue.sample, 0.4), (dialogue.introduction, 0.2))  # and the part of the length

    def __init__(self, config, codes, tokenizer, seed, profile):
        self.arguments = config, codes, tokenizer
        self.seed, self.steps, self.rows, self.frames = seed, profile["lm_steps"], profile["lm_batch"], profile["lm_frames"]

    def __len__(self):
        return self.steps

    def __getitem__(self, step):
        make, part = self.KINDS[step % len(self.KINDS)]
        made = (make(*self.arguments, f"{self.seed}/{step}/{row}", int(self.frames * part))
                for row in range(int(self.rows / part)))
        return [torch.from_numpy(np.stack(values)) for values in zip(*made)]


def noisy(codes, chance, card):
    """Some of the codes replaced by random ones; never the initial token."""
    flip = (torch.rand(codes.shape, device=codes.device) < chance) & (codes < card)
    return torch.where(flip, torch.randint_like(codes, card), codes)


def losses(model, config, frames, weights, heard):
    """(text, first codebook, other codebooks): mean cross entropies, in nats."""
    codebooks, card = config["n_q"] // 2, config["card"]
    tokens = delayed(frames, config)
    inputs = tokens[..., :-1].clone()
    inputs[:, 1:1 + codebooks] = noisy(inputs[:, 1:1 + codebooks], NOISE_TEMPORAL, card)
    hidden = model.temporal(inputs)
    wanted, weights = tokens[..., 1:], weights[:, 1:]
    text = functional.cross_entropy(model.text_linear(hidden).transpose(1, 2), wanted[:, 0], reduction="none")
    text = (text * weights).sum() / weights.sum()
    # The codes of frame t are chosen at the times t and, by their delay, t + 1.
    audible = heard.clone()
    audible[:, 1:] = torch.maximum(heard[:, 1:], heard[:, :-1])
    audible[:, :1 + max(config["delays"])] = 0  # the initial tokens are nobody's choice
    row, time = torch.nonzero(audible[:, 1:], as_tuple=True)
    counts = audible[row, time + 1, None]
    chosen = wanted[row, :1 + codebooks, time]
    logits = model.depth_logits(hidden[row, time], chosen[:, 0],
                                noisy(chosen[:, 1:codebooks], NOISE_DEPTH, card))
    audio = functional.cross_entropy(logits.transpose(1, 2), chosen[:, 1:], reduction="none")
    audio = (audio * counts).sum(0) / counts.sum()
    return text, audio[0], audio[1:].mean()


def fast_bf16(device):
    """Whether products of bf16 are faster there than those of f32."""
    return device != "cpu" or torch.cpu._is_avx512_bf16_supported()


def train(run, config, codes, tokenizer, profile, seed, device):
    torch.manual_seed(seed)
    codes = {**codes, "clips": {(clip["voice"], clip["text"]): clip for clip in codes["clips"]}}
    model = LanguageModel(config).to(device)
    stage = Stage(run, "lm", {"model": model}, profile["lm_steps"], profile["lm_rate"], device)
    workers = profile["workers"]
    made = Batches(config, codes, tokenizer, seed, profile)
    loader = torch.utils.data.DataLoader(torch.utils.data.Subset(made, range(stage.next, stage.steps)), batch_size=None,
                                         num_workers=workers, pin_memory=device != "cpu",
                                         prefetch_factor=8 if workers else None)
    for frames, weights, heard in loader:
        torch.manual_seed(seed * 1_000_003 + stage.next)
        frames, weights, heard = (value.to(device, non_blocking=True) for value in (frames, weights, heard))
        with torch.autocast(device, torch.bfloat16, enabled=fast_bf16(device)):
            text, first, other = losses(model, config, frames, weights, heard)
        stage.learn(TEXT_WEIGHT * text + FIRST_CODEBOOK * first + OTHER_CODEBOOK * (config["n_q"] // 2 - 1) * other)
        if stage.next % profile["log_every"] == 0 or stage.done:
            stage.log(text=text, first=first, other=other)
        if stage.next % profile["check_every"] == 0 or stage.done:
            stage.log(**behaviour.table(model, config, codes, tokenizer, profile["check_scenes"], seed, device))
    return model.eval()
