"""The system prompt as frames: voice, pause, text, pause. The user's streams carry the sine tokens."""
import torch

EPAD, PAD = 0, 3
PAUSE_FRAMES = 6  # half a second at 12.5 Hz, rounded down


def wrap(text):
    return f"<system> {text.strip()} <system>"


def prompt_frames(config, voice_codes, text_ids):
    """voice_codes [K, V], text_ids list -> [1 + n_q, P] int64."""
    codebooks = config["n_q"] // 2
    text = [PAD] * (voice_codes.shape[1] + PAUSE_FRAMES) + list(text_ids) + [PAD] * PAUSE_FRAMES
    frames = torch.empty(1 + config["n_q"], len(text), dtype=torch.int64)
    frames[0] = torch.tensor(text)
    frames[1:1 + codebooks] = torch.tensor(config["silence_tokens"][:codebooks])[:, None]
    frames[1:1 + codebooks, :voice_codes.shape[1]] = torch.as_tensor(voice_codes)
    frames[1 + codebooks:] = torch.tensor(config["sine_tokens"][:codebooks])[:, None]
    return frames
