"""Vision Transformer (Dosovitskiy et al. 2021, https://arxiv.org/abs/2010.11929).

Patches become tokens, a class token is put before them, learned position embeddings are added, and
an encoder of pre-norm attention and MLP blocks runs over all. The class token gives the logits.
The sizes Ti and S are those of DeiT (Touvron et al. 2021); at 48x48 they have 5.4M and 21.3M
parameters, 365 and 1420 MMAC.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from mien.errors import ConfigError, InputError
from mien.models.layers import is_paper
from mien.models.registry import register_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

_EPSILON = 1e-6


class Attention(nn.Module):
    """Self-attention of several heads (Vaswani et al. 2017): (N, T, F) to the same shape."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.project = nn.Linear(dim, dim)

    def _split(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # (N, T, 3 F) -> (3, N, heads, T, F / heads)
        q, k, v = self.qkv(tokens).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return q, k, v

    def forward(self, tokens: Tensor) -> Tensor:
        """Maps (N, T, F) to the same shape."""
        mixed = functional.scaled_dot_product_attention(*self._split(tokens))
        out: Tensor = self.project(mixed.transpose(1, 2).flatten(2))
        return out

    def weights(self, tokens: Tensor) -> Tensor:
        """Returns how much each token looks at each: (N, heads, T, T), rows sum to 1."""
        q, k, _ = self._split(tokens)
        scores: Tensor = (q @ k.transpose(2, 3)) / q.shape[-1] ** 0.5
        return scores.softmax(dim=-1)


class Block(nn.Module):
    """Attention and an MLP of two layers, each behind a norm and around a shortcut."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=_EPSILON)
        self.attention = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=_EPSILON)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, tokens: Tensor) -> Tensor:
        """Maps (N, T, F) to the same shape."""
        return self.attend(tokens, self.norm1(tokens))

    def attend(self, tokens: Tensor, normed: Tensor) -> Tensor:
        """Goes on from the first norm's output: both (N, T, F), to the same shape."""
        tokens = tokens + self.attention(normed)
        out: Tensor = tokens + self.mlp(self.norm2(tokens))
        return out


class VisionTransformer(nn.Module):
    """Patches, class token, position embeddings, encoder, one linear layer.

    The feature map is what the attention of the last block sees of the patches, as explanations of
    transformers take it. The class token travels separately, so that the logits do not follow from
    the map alone: ``forward_tapped`` stands where other networks have ``forward_head``. Position
    embeddings are laid out for ``image_size``, and interpolated for others; ``dim`` are the
    channels F of a token.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        in_channels: int = 1,
        image_size: int = 48,
        patch: int = 6,
        dim: int = 384,
        depth: int = 12,
        heads: int = 6,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        for name, whole, part in (("patch", image_size, patch), ("heads", dim, heads)):
            if part < 1 or whole % part:
                raise ConfigError(f"must divide {whole}; got {part}", subject=name)
        if depth < 1:
            raise ConfigError(f"depth must be at least 1; got {depth}.")
        self.patch, self.side = patch, image_size // patch
        self.class_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.positions = nn.Parameter(torch.zeros(1, 1 + self.side**2, dim))
        self.patches = nn.Conv2d(in_channels, dim, patch, patch)
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, eps=_EPSILON)
        self.num_features = dim
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(dim, num_classes)
        for parameter in (self.class_token, self.positions):
            nn.init.normal_(parameter, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def _embed(self, x: Tensor) -> Tensor:
        """Turns faces (N, C, S, S) into tokens (N, 1 + h * w, F), the class token first."""
        if x.shape[2] % self.patch or x.shape[3] % self.patch:
            raise InputError(
                f"faces of {x.shape[3]}x{x.shape[2]} px cannot be cut into patches of "
                f"{self.patch} px: take a multiple of {self.patch}."
            )
        grid = self.patches(x)
        tokens = torch.cat(
            [self.class_token.expand(x.shape[0], -1, -1), grid.flatten(2).transpose(1, 2)], dim=1
        )
        positions: Tensor = self.positions
        if grid.shape[2:] != (self.side, self.side):
            plane = positions[:, 1:].transpose(1, 2).reshape(1, -1, self.side, self.side)
            plane = functional.interpolate(plane, size=grid.shape[2:], mode="bicubic")
            positions = torch.cat([positions[:, :1], plane.flatten(2).transpose(1, 2)], dim=1)
        return tokens + positions

    def forward(self, x: Tensor) -> Tensor:
        """Maps faces (N, C, S, S) to logits (N, K)."""
        return self.forward_tapped(x, lambda features: features)

    def forward_tapped(self, x: Tensor, tap: Callable[[Tensor], Tensor]) -> Tensor:
        """Maps faces to logits (N, K); the map of features passes through ``tap`` on its way."""
        tokens, normed = self._before_last(x)
        features = tap(self._plane(normed, x))
        normed = torch.cat([normed[:, :1], features.flatten(2).transpose(1, 2)], dim=1)
        tokens = self.blocks[-1].attend(tokens, normed)  # type: ignore[operator]
        logits: Tensor = self.head(self.dropout(self.norm(tokens)[:, 0]))
        return logits

    def forward_features(self, x: Tensor) -> Tensor:
        """Maps faces (N, C, S, S) to the feature map (N, F, S / patch, S / patch)."""
        return self._plane(self._before_last(x)[1], x)

    def _before_last(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the tokens that enter the last block, and what its first norm makes of them."""
        tokens = self._embed(x)
        for block in self.blocks[:-1]:
            tokens = block(tokens)
        return tokens, self.blocks[-1].norm1(tokens)  # type: ignore[operator]

    def _plane(self, tokens: Tensor, x: Tensor) -> Tensor:
        h, w = x.shape[2] // self.patch, x.shape[3] // self.patch
        return tokens[:, 1:].transpose(1, 2).reshape(-1, self.num_features, h, w)

    def forward_attention(self, x: Tensor) -> Tensor:
        """Maps faces to each block's attention (N, L, heads, T, T), class token first."""
        tokens, weights = self._embed(x), []
        for block in self.blocks:
            weights.append(block.attention.weights(block.norm1(tokens)))  # type: ignore[union-attr,operator]
            tokens = block(tokens)
        return torch.stack(weights, dim=1)


def _register(name: str, title: str, *, dim: int, heads: int) -> Callable[..., nn.Module]:
    @register_model(
        name,
        summary=f"{title}: Vision Transformer of {dim} channels, patches of 6 px",
        attends=True,
    )
    def build(*, layout: str = "small", **options: Any) -> VisionTransformer:
        image_size, patch = (224, 16) if is_paper(layout) else (48, 6)
        sizes = {"image_size": image_size, "patch": patch, "dim": dim, "heads": heads}
        return VisionTransformer(**{**sizes, **options})

    return build


vit_tiny = _register("vit_tiny", "ViT-Ti", dim=192, heads=3)
vit_small = _register("vit_small", "ViT-S", dim=384, heads=6)
