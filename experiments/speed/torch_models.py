"""ViT and the CIFAR ResNet in plain PyTorch, as people write them: the peers of ours.

Parameter for parameter the zoo's `vit` and `resnet_na` with activations, whose sizes
they take; pictures are channels first, as torch has them.
"""

import torch
from torch import nn
from torch.nn import functional as F


class ViT(nn.Module):
    """Pre-norm ViT with a class token, GELU and torch's fused attention."""

    def __init__(self, depth, width, heads, patch_size=4, image_size=32, classes=10):
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch_size, patch_size)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        positions = 1 + (image_size // patch_size) ** 2
        self.positions = nn.Parameter(torch.randn(1, positions, width) * 0.02)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.logits = nn.Linear(width, classes)

    def forward(self, images):
        x = self.patches(images).flatten(2).transpose(1, 2)  # (b, n, c)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.positions
        return self.logits(self.norm(self.blocks(x))[:, 0])


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)). Input (b, n, c)."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.output = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x):
        b, n, c = x.shape
        qkv = self.qkv(self.norm1(x)).view(b, n, 3, self.heads, c // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (b, heads, n, d)
        y = F.scaled_dot_product_attention(q, k, v)
        x = x + self.output(y.transpose(1, 2).reshape(b, n, c))
        return x + self.mlp(self.norm2(x))


class ResNet(nn.Module):
    """He et al.'s CIFAR ResNet of depth 6n + 2, BN and ReLU, projected shortcuts."""

    def __init__(self, depth, width=16, classes=10):
        super().__init__()
        layers = [convolution(3, width, 3, 1), nn.ReLU(inplace=True)]
        channels = width
        for stage in range(3):
            for i in range((depth - 2) // 6):
                stride = 2 if stage and not i else 1
                layers.append(Unit(channels, width * 2**stage, stride))
                channels = width * 2**stage
        self.features = nn.Sequential(*layers)
        self.logits = nn.Linear(channels, classes)

    def forward(self, images):
        return self.logits(self.features(images).mean((2, 3)))


class Unit(nn.Module):
    """Two 3x3 convolutions and a shortcut. Input (b, c, h, w)."""

    def __init__(self, channels, width, stride):
        super().__init__()
        self.branch = nn.Sequential(
            convolution(channels, width, 3, stride),
            nn.ReLU(inplace=True),
            convolution(width, width, 3, 1),
        )
        self.shortcut = nn.Identity()
        if stride > 1 or channels != width:
            self.shortcut = convolution(channels, width, 1, stride)

    def forward(self, x):
        return F.relu(self.branch(x) + self.shortcut(x), inplace=True)


def convolution(channels, width, kernel, stride):
    """A convolution without bias, and its BatchNorm."""
    return nn.Sequential(
        nn.Conv2d(channels, width, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(width),
    )
