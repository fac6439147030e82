"""What both networks are made of, in the form that is trained: a whole sequence at once.

Names of modules and parameters are those of the checkpoint's tensors. The results are those of the
streaming programs: causal convolutions, and an attention mask that is that of a ring of `context` slots
in which the slot that the next step would overwrite is masked.
"""
import math

import torch
from torch import nn
from torch.nn import functional


def gate_width(dim, feedforward):
    """Width of one half of a SiLU gate."""
    return 21 * dim // 8 if feedforward == 4 * dim else 2 * feedforward // 3


def ring_mask(steps, context, block, device):
    """[steps, steps] bool: which keys a query sees when `block` steps are appended in a call."""
    at = torch.arange(steps, device=device)
    last = at.div(block, rounding_mode="floor") * block + block - 1
    lowest = torch.minimum(last - context + 2, at)
    return (at[None, :] <= at[:, None]) & (at[None, :] >= lowest[:, None])


def rotate(x, positions, max_period):
    """Rotary embedding of [..., T, D] over interleaved pairs; positions [T]."""
    half = x.shape[-1] // 2
    frequencies = torch.exp(torch.arange(half, device=x.device, dtype=torch.float32)
                            * (-math.log(max_period) * 2.0 / x.shape[-1]))
    angles = positions.float()[:, None] * frequencies
    cos, sin = angles.cos(), angles.sin()
    x0, x1 = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack((x0 * cos - x1 * sin, x0 * sin + x1 * cos), -1).flatten(-2).to(x.dtype)


class Linear(nn.Linear):
    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs, bias=False)


class Attention(nn.Module):
    def __init__(self, dim, heads, max_period):
        super().__init__()
        self.heads, self.max_period = heads, max_period
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim).uniform_(-1, 1) * (3 / dim) ** 0.5)
        self.out_proj = Linear(dim, dim)

    def forward(self, x, mask, cache=None):
        """x [B, T, d]. `cache` is a list of what was seen before: (keys, values), extended in place.
        Without a mask a sequence is causal, and a single step sees all that was."""
        q, k, v = functional.linear(x, self.in_proj_weight).unflatten(
            -1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        begin = cache[0].shape[2] if cache else 0
        positions = torch.arange(begin, begin + x.shape[1], device=x.device)
        q, k = rotate(q, positions, self.max_period), rotate(k, positions, self.max_period)
        if cache is not None:
            if cache:
                k, v = torch.cat((cache[0], k), 2), torch.cat((cache[1], v), 2)
            cache[:] = k, v
        out = functional.scaled_dot_product_attention(q, k, v, mask, is_causal=mask is None and x.shape[1] > 1)
        return self.out_proj(out.transpose(1, 2).flatten(-2))


class RmsNorm(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1, 1, dim))

    def forward(self, x):
        wide = x.float()
        return (wide * (self.alpha.float() * torch.rsqrt(wide.square().mean(-1, keepdim=True) + 1e-8))
                ).to(x.dtype)


def silu_gate(x):
    a, b = x.chunk(2, -1)
    return functional.silu(a) * b
