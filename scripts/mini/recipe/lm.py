"""The language model: temporal transformer over frames, depth transformer over the codebooks of one."""
import torch
from torch import nn
from torch.nn import functional

from .blocks import Attention, Linear, RmsNorm, gate_width, ring_mask, silu_gate


class Gate(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.linear_in, self.linear_out = Linear(dim, 2 * hidden), Linear(hidden, dim)

    def forward(self, x):
        return self.linear_out(silu_gate(self.linear_in(x)))


class Layer(nn.Module):
    def __init__(self, dim, heads, hidden, max_period):
        super().__init__()
        self.self_attn = Attention(dim, heads, max_period)
        self.norm1, self.norm2 = RmsNorm(dim), RmsNorm(dim)
        self.gating = Gate(dim, hidden)

    def forward(self, x, mask, cache=None):
        x = x + self.self_attn(self.norm1(x), mask, cache)
        return x + self.gating(self.norm2(x))


def per_step(x, weight):
    """x [N, K, inputs], weight [K, outputs, inputs] -> [N, K, outputs]."""
    return torch.bmm(x.transpose(0, 1), weight.transpose(1, 2)).transpose(0, 1)


def spread(*shape):
    """Weights that keep the deviation of their input."""
    return nn.Parameter(torch.randn(*shape) / shape[-1] ** 0.5)


class DepthLayer(nn.Module):
    """The weights of all K steps in one tensor each; the norms are shared by them."""

    def __init__(self, steps, dim, heads, hidden):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = RmsNorm(dim), RmsNorm(dim)
        self.in_proj, self.out_proj = spread(steps, 3 * dim, dim), spread(steps, dim, dim)
        self.linear_in, self.linear_out = spread(steps, 2 * hidden, dim), spread(steps, dim, hidden)

    def forward(self, x, mask):
        q, k, v = per_step(self.norm1(x), self.in_proj).unflatten(
            -1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x + per_step(attended.transpose(1, 2).flatten(-2), self.out_proj)
        return x + per_step(silu_gate(per_step(self.norm2(x), self.linear_in)), self.linear_out)


class LanguageModel(nn.Module):
    """`config`: a config.json. Tokens are [B, 1 + n_q, T] at the model's times: delays are applied."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        dim, card, text_card = config["dim"], config["card"], config["text_card"]
        depth_dim, self.steps = config["depformer_dim"], config["dep_q"]
        self.emb = nn.ModuleList(nn.Embedding(card + 1, dim) for _ in range(config["n_q"]))
        self.text_emb = nn.Embedding(text_card + 1, dim)
        self.transformer = nn.ModuleDict({"layers": nn.ModuleList(
            Layer(dim, config["num_heads"], gate_width(dim, int(config["hidden_scale"] * dim)),
                  config["max_period"]) for _ in range(config["num_layers"]))})
        self.out_norm = RmsNorm(dim)
        self.text_linear = Linear(dim, text_card)
        self.depth = nn.ModuleDict({"layers": nn.ModuleList(
            DepthLayer(self.steps, depth_dim, config["depformer_num_heads"],
                       gate_width(depth_dim, config["depformer_dim_feedforward"]))
            for _ in range(config["depformer_num_layers"]))})
        self.depth_in = spread(self.steps, depth_dim, dim)
        self.depth_text_emb = nn.Embedding(text_card + 1, depth_dim)
        self.depth_emb = nn.Parameter(torch.randn(self.steps - 1, card + 1, depth_dim))
        self.linears = spread(self.steps, card, depth_dim)
        for table in (*self.emb, self.text_emb):
            nn.init.normal_(table.weight, std=(1 + config["n_q"]) ** -0.5)
        branches = (2 * config["num_layers"]) ** -0.5
        with torch.no_grad():
            for layer in self.transformer["layers"]:
                layer.self_attn.out_proj.weight *= branches
                layer.gating.linear_out.weight *= branches

    def embed(self, tokens):
        return sum(table(tokens[:, k + 1]) for k, table in enumerate(self.emb)) + self.text_emb(tokens[:, 0])

    def temporal(self, tokens, caches=None):
        """[B, 1 + n_q, T] -> [B, T, dim], after the last norm. With caches (one list a layer) steps go on,
        one at a time, where a sequence ended; they must fit in the context."""
        steps, context = tokens.shape[-1], self.config["context"]
        mask = ring_mask(steps, context, 1, tokens.device) if steps >= context else None
        x = self.embed(tokens)
        for i, layer in enumerate(self.transformer["layers"]):
            x = layer(x, mask, caches[i] if caches else None)
        return self.out_norm(x)

    def depth_mask(self, device):
        """The ring has as many slots as there are steps, so the last one does not see the first."""
        return ring_mask(self.steps, self.steps, 1, device)

    def depth_logits(self, hidden, text, audio):
        """hidden [N, dim], text [N], audio [N, K - 1] (what each step but the last chose) ->
        logits [N, k + 1, card] of the first k + 1 steps, k being audio.shape[1]."""
        count = audio.shape[1] + 1
        previous = [self.depth_text_emb(text)]
        previous += [self.depth_emb[k][audio[:, k]] for k in range(count - 1)]
        x = per_step(hidden[:, None].expand(-1, count, -1), self.depth_in[:count])
        x = x + torch.stack(previous, 1)
        x = functional.pad(x, (0, 0, 0, self.steps - count))
        for layer in self.depth["layers"]:
            x = layer(x, self.depth_mask(x.device))
        return per_step(x, self.linears)[:, :count]

    def checkpoint_tensors(self):
        """{name: tensor} as the file has them."""
        named = {name: value for name, value in self.state_dict().items()
                 if not name.startswith(("depth", "linears"))}
        named["depformer_text_emb.weight"] = self.depth_text_emb.weight
        for k in range(self.steps):
            named[f"depformer_in.{k}.weight"] = self.depth_in[k]
            named[f"linears.{k}.weight"] = self.linears[k]
            if k:
                named[f"depformer_emb.{k - 1}.weight"] = self.depth_emb[k - 1]
        for i, layer in enumerate(self.depth["layers"]):
            name = f"depformer.layers.{i}."
            named[name + "norm1.alpha"], named[name + "norm2.alpha"] = layer.norm1.alpha, layer.norm2.alpha
            named[name + "self_attn.in_proj_weight"] = layer.in_proj.flatten(0, 1)
            named[name + "self_attn.out_proj.weight"] = layer.out_proj.flatten(0, 1)
            for k in range(self.steps):
                named[f"{name}gating.{k}.linear_in.weight"] = layer.linear_in[k]
                named[f"{name}gating.{k}.linear_out.weight"] = layer.linear_out[k]
        return {name: value.detach() for name, value in named.items()}


def delayed(frames, config):
    """Frames' tokens [B, streams, T] as the model sees them: stream k of frame f at time f + delays[k];
    the initial token at the times up to its delay."""
    out = torch.empty_like(frames)
    for k in range(frames.shape[1]):
        delay = config["delays"][k]
        out[:, k, delay:] = frames[:, k, :frames.shape[2] - delay]
        out[:, k, :delay + 1] = config["text_card"] if k == 0 else config["card"]
    return out
