"""The net that whoever writes a Hex player often begins with: a ResNet-18 (arXiv:1512.03385, table 1), in plain torch.

Two planes of stones, a first convolution that keeps the board's size, four stages of two blocks with 64 to 512
channels, each but the first halving the sides, and linear heads for the policy and the value.
"""

from __future__ import annotations

from torch import Tensor, nn

_STAGES = ((64, 1), (128, 2), (256, 2), (512, 2))  # channels, stride


class _Block(nn.Module):
    def __init__(self, before: int, channels: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, channels, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or before != channels:
            self.shortcut = nn.Sequential(nn.Conv2d(before, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        inner = self.first_norm(self.first(x)).relu()
        out: Tensor = self.second_norm(self.second(inner)) + self.shortcut(x)
        return out.relu()


class PlainResNet18(nn.Module):
    """Boards float [B, 2, n, n] to policy logits [B, n * n] and a value logit [B, 1]."""

    def __init__(self, size: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(2, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
        before = 64
        for channels, stride in _STAGES:
            layers += [_Block(before, channels, stride), _Block(channels, channels, 1)]
            before = channels
        self.trunk = nn.Sequential(*layers)
        self.policy, self.value = nn.Linear(before, size * size), nn.Linear(before, 1)

    def forward(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        pooled = self.trunk(planes).mean((2, 3))
        return self.policy(pooled), self.value(pooled)
