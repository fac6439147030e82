"""First stage: the codec. Waveform, spectra at several resolutions, envelopes of bands; the first codebook also
learns to tell the phones, so that it carries what is said."""
import pathlib

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from . import data
from .codec import Codec
from .progress import Stage

WINDOWS = ((2048, 100), (1024, 80), (512, 48), (256, 24))  # samples, mel bands


def mel_bank(window, bands, rate_hz):
    """[window / 2 + 1, bands]: triangles evenly spaced in mel."""
    def mel(hz):
        return 2595 * np.log10(1 + hz / 700)
    edges = 700 * (10 ** (np.linspace(mel(40), mel(rate_hz / 2), bands + 2) / 2595) - 1)
    hz = np.linspace(0, rate_hz / 2, window // 2 + 1)[:, None]
    rise = (hz - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - hz) / (edges[2:] - edges[1:-1])
    bank = np.maximum(0, np.minimum(rise, fall))
    return torch.from_numpy(bank / np.maximum(bank.sum(0), 1e-9)).float()


def magnitudes(pcm, size, hop, window):
    """[B, samples] -> [B, windows, size / 2 + 1]: 2 for a sine of amplitude 1."""
    spectrum = torch.stft(pcm, size, hop, len(window), window=window, return_complex=True)
    power = torch.view_as_real(spectrum).square().sum(-1) * (4 / window.sum()) ** 2
    return (power + 1e-10).sqrt().transpose(1, 2)


class SpectralLoss(nn.Module):
    FLOOR = 2e-3

    def __init__(self, rate_hz):
        super().__init__()
        for size, bands in WINDOWS:
            self.register_buffer(f"window{size}", torch.hann_window(size), persistent=False)
            self.register_buffer(f"bank{size}", mel_bank(size, bands, rate_hz), persistent=False)

    def forward(self, made, wanted):
        """[B, samples] each -> [B]."""
        loss = 0.0
        for size, _ in WINDOWS:
            window, bank = getattr(self, f"window{size}"), getattr(self, f"bank{size}")
            a = magnitudes(made, size, size // 4, window) @ bank
            with torch.no_grad():
                b = magnitudes(wanted, size, size // 4, window) @ bank
            logs = (torch.log(a + self.FLOOR) - torch.log(b + self.FLOOR)).abs().mean((1, 2))
            loss = loss + logs + 4 * (a - b).abs().mean((1, 2))
        return loss / len(WINDOWS)


class EnvelopeLoss(nn.Module):
    """1 - correlation of the envelopes of third-octave bands over 0.4 s: what STOI measures (Taal et al. 2011,
    section II), without its clipping, where the wanted band is not silent."""

    WINDOW_S, SEGMENT, FLOOR = 0.0256, 30, 3e-4

    def __init__(self, rate_hz):
        super().__init__()
        self.window_samples = round(self.WINDOW_S * rate_hz)
        self.size = 1024
        hz = torch.linspace(0, rate_hz / 2, self.size // 2 + 1)
        centres = 150 * 2 ** (torch.arange(15) / 3)
        bank = (hz[:, None] >= centres * 2 ** (-1 / 6)) & (hz[:, None] < centres * 2 ** (1 / 6))
        self.register_buffer("bank", bank.float(), persistent=False)
        self.register_buffer("window", torch.hann_window(self.window_samples), persistent=False)

    def envelopes(self, pcm):
        """[B, samples] -> [B, segments, bands, SEGMENT]: a segment's deviations from its mean."""
        power = magnitudes(pcm, self.size, self.window_samples // 2, self.window).square() @ self.bank
        segments = power.sqrt().unfold(1, self.SEGMENT, self.SEGMENT // 6)
        return segments - segments.mean(-1, keepdim=True)

    def forward(self, made, wanted):
        """[B, samples] each -> [B]."""
        with torch.no_grad():
            wanted = self.envelopes(wanted)
            size = wanted.norm(dim=-1)
            audible = (size > self.FLOOR * self.SEGMENT).float()
        made = self.envelopes(made)
        likeness = (made * wanted).sum(-1) / (made.square().sum(-1) + self.FLOOR ** 2).sqrt() / (size + self.FLOOR)
        return ((1 - likeness) * audible).sum((1, 2)) / audible.sum((1, 2)).clamp_min(1)


class Source:
    """Crops of recordings, on the device: [B, 1, samples] and the phone of every half frame."""

    def __init__(self, paths, device):
        recordings = [data.Recordings(path) for path in paths]
        self.pcm = torch.cat([torch.from_numpy(r.pcm) for r in recordings]).to(device)
        labels = [label for r in recordings for entry in r.index for label in entry["labels"]]
        self.labels = torch.tensor(labels, dtype=torch.int64, device=device)

    def crops(self, count, frames, generator):
        half = data.HALF_FRAME
        last = len(self.labels) - 2 * frames - 2
        place = torch.randint(1, last, (count, 1), generator=generator).to(self.pcm.device)
        shift = torch.randint(-half // 3, half // 3, (count, 1), generator=generator).to(self.pcm.device)
        at = torch.arange(frames * data.FRAME, device=self.pcm.device)
        pcm = self.pcm[place * half + shift + at].float() / 32768
        return pcm[:, None], self.labels[place + torch.arange(2 * frames, device=self.pcm.device)]


def stoi(codec, path, device):
    """Mean short-time objective intelligibility of coded speech, 0 to 1 (Taal et al. 2011)."""
    try:
        from pystoi import stoi as measure
    except ImportError:
        return float("nan")
    recordings = data.Recordings(path)
    values = []
    for entry in recordings.index[::max(1, len(recordings.index) // 24)]:
        clean = recordings.samples(entry)
        with torch.no_grad():
            coded = codec.decode(codec.encode(torch.from_numpy(clean).to(device)[None, None]))
        count = entry["frames"] * data.FRAME
        values.append(measure(clean[:count], coded[0, 0, :count].cpu().numpy(), data.RATE_HZ))
    return float(np.mean(values))


def train(run, recordings, config, profile, seed, device):
    """The trained codec, rounded as it is stored."""
    recordings = pathlib.Path(recordings)
    torch.manual_seed(seed)
    codec = Codec(config["mimi"]).to(device)
    phones = nn.Linear(config["mimi"]["quantizer"]["dimension"], 2 * len(data.PHONES)).to(device)
    stage = Stage(run, "codec", {"codec": codec, "phones": phones}, profile["codec_steps"],
                  profile["codec_rate"], device)
    if not stage.done:
        spectral = SpectralLoss(data.RATE_HZ).to(device)
        envelopes = EnvelopeLoss(data.RATE_HZ).to(device)
        agent = Source((recordings / "agent.npz", recordings / "agent_more.npz"), device)
        users = Source((recordings / "users.npz",), device)
        batch = profile["codec_batch"]
        strangers = batch // 3
        # Users are heard, never spoken: their sound matters less than what is in it.
        weight = torch.ones(batch, device=device)
        weight[:strangers] = 0.2
        codec.train()
    while not stage.done:
        generator = torch.Generator().manual_seed(seed * 1_000_003 + stage.next)
        parts = (users.crops(strangers, profile["codec_frames"], generator),
                 agent.crops(batch - strangers, profile["codec_frames"], generator))
        pcm, labels = (torch.cat(pair) for pair in zip(*parts))
        made, semantic, commit = codec(pcm)
        spectra = (spectral(made[:, 0], pcm[:, 0]) * weight).mean()
        blur = (envelopes(made[:, 0], pcm[:, 0]) * weight).mean()
        wave = ((made - pcm).abs().mean((1, 2)) * weight).mean()
        logits = phones(semantic.transpose(1, 2)).unflatten(-1, (2, -1)).flatten(1, 2)
        spoken = functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=data.UNKNOWN)
        stage.learn(spectra + 0.5 * blur + wave + 0.5 * commit + 0.2 * spoken)
        if stage.next % profile["log_every"] == 0 or stage.done:
            stage.log(spectra=spectra, blur=blur, wave=wave, commit=commit, phones=spoken)
        if stage.next % profile["check_every"] == 0 or stage.done:
            codec.eval()
            stage.log(stoi=stoi(codec, recordings / "agent_held_out.npz", device))
            codec.train()
    return codec.eval()
