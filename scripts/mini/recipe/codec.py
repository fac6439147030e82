"""The Mimi codec (arXiv 2410.00037): SEANet, transformers, split RVQ."""
import math

import torch
from torch import nn
from torch.nn import functional

from .blocks import Attention, Linear, ring_mask

LEAST_USAGE = 1e-5


class Conv(nn.Module):
    """Causal: padded on the left by (effective kernel - stride)."""

    def __init__(self, inputs, outputs, kernel, stride=1, dilation=1, bias=True, first_pad="constant"):
        super().__init__()
        self.conv = nn.ModuleDict({"conv": nn.Conv1d(inputs, outputs, kernel, stride, dilation=dilation,
                                                     bias=bias)})
        self.pad = (kernel - 1) * dilation + 1 - stride
        self.first_pad = first_pad

    def forward(self, x):
        return self.conv["conv"](functional.pad(x, (self.pad, 0), mode=self.first_pad))


class ConvTranspose(nn.Module):
    """Causal: emits stride * T samples; what hangs over belongs to the next call."""

    def __init__(self, inputs, outputs, kernel, stride, groups=1, bias=True):
        super().__init__()
        self.convtr = nn.ModuleDict({"convtr": nn.ConvTranspose1d(inputs, outputs, kernel, stride,
                                                                  groups=groups, bias=bias)})
        self.stride = stride

    def forward(self, x):
        return self.convtr["convtr"](x)[..., :x.shape[-1] * self.stride]


class ResidualBlock(nn.Module):
    def __init__(self, config, channels, index):
        super().__init__()
        inner = channels // config["compress"]
        self.block = nn.Sequential(
            nn.ELU(), Conv(channels, inner, config["residual_kernel_size"],
                           dilation=config["dilation_base"] ** index),
            nn.ELU(), Conv(inner, channels, 1))

    def forward(self, x):
        return x + self.block(x)


class SeanetEncoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        width = config["n_filters"]
        layers = [Conv(config["channels"], width, config["kernel_size"])]
        for ratio in reversed(config["ratios"]):
            layers += [ResidualBlock(config, width, j) for j in range(config["n_residual_layers"])]
            layers += [nn.ELU(), Conv(width, 2 * width, 2 * ratio, ratio)]
            width *= 2
        layers += [nn.ELU(), Conv(width, config["dimension"], config["last_kernel_size"])]
        self.model = nn.Sequential(*layers)

    def forward(self, x):
        return self.model(x)


class SeanetDecoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        width = config["n_filters"] << len(config["ratios"])
        layers = [Conv(config["dimension"], width, config["kernel_size"])]
        for ratio in config["ratios"]:
            layers += [nn.ELU(), ConvTranspose(width, width // 2, 2 * ratio, ratio)]
            width //= 2
            layers += [ResidualBlock(config, width, j) for j in range(config["n_residual_layers"])]
        layers += [nn.ELU(), Conv(width, config["channels"], config["last_kernel_size"])]
        self.model = nn.Sequential(*layers)

    def forward(self, x):
        return self.model(x)


class LayerScale(nn.Module):
    def __init__(self, dim, value):
        super().__init__()
        self.scale = nn.Parameter(torch.full((dim,), float(value)))

    def forward(self, x):
        return self.scale * x


class Layer(nn.Module):
    def __init__(self, config):
        super().__init__()
        dim = config["d_model"]
        self.self_attn = Attention(dim, config["num_heads"], config["max_period"])
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.linear1, self.linear2 = Linear(dim, config["dim_feedforward"]), Linear(
            config["dim_feedforward"], dim)
        self.layer_scale_1 = LayerScale(dim, config["layer_scale"])
        self.layer_scale_2 = LayerScale(dim, config["layer_scale"])

    def forward(self, x, mask):
        x = x + self.layer_scale_1(self.self_attn(self.norm1(x), mask))
        return x + self.layer_scale_2(self.linear2(functional.gelu(self.linear1(self.norm2(x)))))


class Transformer(nn.Module):
    """[B, d, T] -> [B, d, T]."""

    def __init__(self, config, block):
        super().__init__()
        self.context, self.block = config["context"], block
        self.transformer = nn.ModuleDict(
            {"layers": nn.ModuleList(Layer(config) for _ in range(config["num_layers"]))})

    def forward(self, x):
        mask = ring_mask(x.shape[-1], self.context, self.block, x.device)
        x = x.transpose(1, 2)
        for layer in self.transformer["layers"]:
            x = layer(x, mask)
        return x.transpose(1, 2)


class Codebook(nn.Module):
    """Entries are embedding_sum / cluster_usage, moving averages of what was assigned to them."""

    DECAY = 0.99

    def __init__(self, bins, dim):
        super().__init__()
        self.register_buffer("_initialized", torch.zeros(1))
        self.register_buffer("cluster_usage", torch.ones(bins))
        self.register_buffer("embedding_sum", torch.zeros(bins, dim))

    def entries(self):
        return self.embedding_sum / self.cluster_usage.clamp_min(LEAST_USAGE)[:, None]

    def nearest(self, x):
        """x [N, d] -> index [N]; the first one where two are equally near."""
        entries = self.entries()
        return (x @ entries.T - 0.5 * entries.square().sum(1)).argmax(1)

    @torch.no_grad()
    def learn(self, x, index):
        """Moves the entries; those that are hardly used restart at vectors of the batch."""
        bins = len(self.cluster_usage)
        if not self._initialized:
            self.embedding_sum.copy_(x[torch.randint(len(x), (bins,), device=x.device)])
            self._initialized.fill_(1)
            return
        counts = torch.zeros_like(self.cluster_usage).index_add_(0, index, torch.ones_like(x[:, 0]))
        sums = torch.zeros_like(self.embedding_sum).index_add_(0, index, x)
        self.cluster_usage.lerp_(counts, 1 - self.DECAY)
        self.embedding_sum.lerp_(sums, 1 - self.DECAY)
        least = 0.05 * len(x) / bins
        dead = (self.cluster_usage < least)[:, None]
        fresh = x[torch.randint(len(x), (bins,), device=x.device)]
        usage = torch.full_like(self.cluster_usage, max(4 * least, 1e-2))
        self.cluster_usage.copy_(torch.where(dead[:, 0], usage, self.cluster_usage))
        self.embedding_sum.copy_(torch.where(dead, fresh * usage[:, None], self.embedding_sum))


class ResidualQuantizer(nn.Module):
    def __init__(self, latent, config, levels):
        super().__init__()
        self.input_proj = nn.Conv1d(latent, config["dimension"], 1, bias=False)
        self.output_proj = nn.Conv1d(config["dimension"], latent, 1, bias=False)
        self.vq = nn.ModuleDict({"layers": nn.ModuleList(
            nn.ModuleDict({"_codebook": Codebook(config["bins"], config["dimension"])})
            for _ in range(levels))})

    def codebooks(self):
        return [layer["_codebook"] for layer in self.vq["layers"]]

    def encode(self, latent):
        """[B, D, T] -> codes [B, levels, T]."""
        residual = self.input_proj(latent).transpose(1, 2).flatten(0, 1)
        codes = []
        for book in self.codebooks():
            codes.append(book.nearest(residual))
            residual = residual - book.entries()[codes[-1]]
        return torch.stack(codes).unflatten(1, (latent.shape[0], -1)).transpose(0, 1)

    def decode(self, codes):
        total = sum(book.entries()[codes[:, k]] for k, book in enumerate(self.codebooks()))
        return self.output_proj(total.transpose(1, 2))

    def forward(self, latent):
        """Training: (straight-through sum of the entries [B, d, T], commitment loss)."""
        x = self.input_proj(latent)
        flat = x.transpose(1, 2).flatten(0, 1)
        residual, total, commit = flat, torch.zeros_like(flat), 0.0
        for book in self.codebooks():
            index = book.nearest(residual.detach())
            if self.training:
                book.learn(residual.detach(), index)
            entry = book.entries()[index].detach()
            commit = commit + functional.mse_loss(residual, entry)
            residual, total = residual - entry, total + entry
        quantized = flat + (total - flat).detach()
        return quantized.unflatten(0, (latent.shape[0], -1)).transpose(1, 2), commit


class Quantizer(nn.Module):
    def __init__(self, latent, config):
        super().__init__()
        self.rvq_first = ResidualQuantizer(latent, config, 1)
        self.rvq_rest = ResidualQuantizer(latent, config, config["n_q"] - 1)

    def encode(self, latent):
        return torch.cat((self.rvq_first.encode(latent), self.rvq_rest.encode(latent)), 1)

    def decode(self, codes):
        return self.rvq_first.decode(codes[:, :1]) + self.rvq_rest.decode(codes[:, 1:])


class Codec(nn.Module):
    """`config`: the `mimi` block of a config.json."""

    def __init__(self, config):
        super().__init__()
        seanet = config["seanet"]
        latent = seanet["dimension"]
        self.frame_samples = round(config["sample_rate"] / config["frame_rate"])
        stride = self.frame_samples // math.prod(seanet["ratios"])
        self.encoder, self.decoder = SeanetEncoder(seanet), SeanetDecoder(seanet)
        self.encoder_transformer = Transformer(config["transformer"], stride)
        self.decoder_transformer = Transformer(config["transformer"], stride)
        self.downsample = nn.ModuleDict({"conv": Conv(latent, latent, 2 * stride, stride, bias=False,
                                                      first_pad="replicate")})
        self.upsample = nn.ModuleDict({"convtr": ConvTranspose(latent, latent, 2 * stride, stride,
                                                               groups=latent, bias=False)})
        self.quantizer = Quantizer(latent, config["quantizer"])

    def latent(self, pcm):
        """[B, 1, samples], whole frames -> [B, D, frames]."""
        return self.downsample["conv"](self.encoder_transformer(self.encoder(pcm)))

    def encode(self, pcm):
        return self.quantizer.encode(self.latent(pcm))  # [B, n_q, frames]

    def synthesise(self, latent):
        return self.decoder(self.decoder_transformer(self.upsample["convtr"](latent)))

    def decode(self, codes):
        return self.synthesise(self.quantizer.decode(codes))  # [B, 1, samples]

    def forward(self, pcm):
        """Training: (pcm after coding, entries of the first codebook [B, d, frames], commitment loss)."""
        latent = self.latent(pcm)
        first, rest = self.quantizer.rvq_first, self.quantizer.rvq_rest
        semantic, loss_first = first(latent)
        acoustic, loss_rest = rest(latent)
        pcm = self.synthesise(first.output_proj(semantic) + rest.output_proj(acoustic))
        return pcm, semantic, loss_first + loss_rest
