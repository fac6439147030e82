"""Dialogues in which the agent speaks for itself: many at once, one frame after another."""
import torch

from .lm import delayed


def choose(logits, temperature):
    """[N, card] -> [N]; temperature 0 takes the likeliest."""
    if temperature == 0:
        return logits.argmax(-1)
    return torch.multinomial(torch.softmax(logits.float() / temperature, -1), 1)[:, 0]


@torch.no_grad()
def rollout(model, frames, known, temperature_text=0.0, temperature_audio=0.0):
    """frames [B, streams, F]: the user's streams throughout, the agent's in the first `known[b]` frames of
    row b (the system prompt). Returns the frames with the agent's streams filled in, one frame less (its
    last codes come later than the last input). F must not exceed the context."""
    config = model.config
    agent_streams = 1 + config["n_q"] // 2
    delays = config["delays"]
    known = torch.as_tensor(known, device=frames.device)
    tokens = delayed(frames, config)
    prefix = int(known.min())
    caches = [[] for _ in model.transformer["layers"]]
    hidden = model.temporal(tokens[..., :prefix], caches)[:, -1]
    for t in range(prefix, frames.shape[-1]):
        if t > prefix:
            hidden = model.temporal(tokens[..., t - 1:t], caches)[:, -1]

        def settle(stream, chosen):
            """The provided token where the prompt goes on, else the chosen one."""
            provided = t - delays[stream] < known
            tokens[:, stream, t] = torch.where(provided, tokens[:, stream, t], chosen)
            return tokens[:, stream, t]

        text = settle(0, choose(model.text_linear(hidden), temperature_text))
        audio = tokens[:, 1:1, t]
        for stream in range(1, agent_streams):
            logits = model.depth_logits(hidden, text, audio)[:, -1]
            audio = torch.cat((audio, settle(stream, choose(logits, temperature_audio))[:, None]), 1)
    out = frames[..., :-1].clone()
    for stream in range(agent_streams):
        out[:, stream] = tokens[:, stream, delays[stream]:][..., :out.shape[-1]]
    return out
