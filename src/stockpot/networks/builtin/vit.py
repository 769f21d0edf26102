"""A vision transformer small enough for a CPU.

Shapes: N samples, C channels, H x W pixels, T tokens, S attention heads, D units, F features.
Source: A. Dosovitskiy et al., An Image is Worth 16x16 Words, arXiv 2010.11929.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import FieldError
from ...values.bounds import Size
from ..network import Network
from .config import NetworkConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class VitTinyConfig(NetworkConfig):
    """A vision transformer; zeros are added right and below an image up to whole patches.

    Attributes:
        width: units of a token, a multiple of `heads`; also the number of features.
        depth: blocks.
        heads: attention heads of a block.
        patch: pixels along the side of a patch; smaller ones see more and cost more.
    """

    written_name: ClassVar[str] = "vit-tiny"
    width: Size = 192
    depth: Size = 4
    heads: Size = 3
    patch: Size = 4

    def check(self) -> None:
        """Refuse what does not go together."""
        if self.width % self.heads or self.patch > self.image_size:
            raise FieldError(
                "width must be a multiple of heads, and patch at most image_size; got "
                f"width={self.width}, heads={self.heads}, patch={self.patch}, "
                f"image_size={self.image_size}."
            )

    def build(self) -> "VisionTransformer":
        """The network."""
        return VisionTransformer(self)


class VisionTransformer(Network):
    """Square patches and a class token through blocks of attention and a two-layer perceptron."""

    def __init__(self, config: VitTinyConfig) -> None:
        super().__init__()
        width, patch, image_size = config.width, config.patch, config.image_size
        self.missing = -image_size % patch
        tokens = ((image_size + self.missing) // patch) ** 2 + 1
        self.patches = nn.Conv2d(config.in_channels, width, kernel_size=patch, stride=patch)
        small = [nn.Parameter(0.02 * torch.randn(1, count, width)) for count in (1, tokens)]
        self.token, self.positions = small
        self.blocks = nn.Sequential(*(_Block(width, config.heads) for _ in range(config.depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, config.num_classes)

    def features(self, images_NCHW: Tensor) -> Tensor:
        """The class token after the last normalisation, [N, F]."""
        whole_NCHW = F.pad(images_NCHW, (0, self.missing, 0, self.missing))
        patches_NTD = self.patches(whole_NCHW).flatten(2).transpose(1, 2)
        token_NTD = self.token.expand(len(images_NCHW), -1, -1)
        tokens_NTD = torch.cat([token_NTD, patches_NTD], dim=1) + self.positions
        return self.norm(self.blocks(tokens_NTD)[:, 0])


class _Block(nn.Module):
    """x + attention(norm(x)), then x + perceptron(norm(x))."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        wide = 4 * width
        self.mlp = nn.Sequential(nn.Linear(width, wide), nn.GELU(), nn.Linear(wide, width))

    def forward(self, x_NTD: Tensor) -> Tensor:
        qkv_NTD = self.qkv(self.norm1(x_NTD)).chunk(3, dim=-1)
        q, k, v = (one.unflatten(-1, (self.heads, -1)).transpose(1, 2) for one in qkv_NTD)
        seen_NSTD = F.scaled_dot_product_attention(q, k, v)
        x_NTD = x_NTD + self.out(seen_NSTD.transpose(1, 2).flatten(2))
        return x_NTD + self.mlp(self.norm2(x_NTD))
