"""Names and shapes of the net's weights, told without torch: the supervisor sizes the weights board with them.

It repeats what `hexpipe.nets` builds, on purpose: importing torch into the supervisor would take seconds of every
start and hundreds of megabytes. The test compares it with the real nets.
"""

from __future__ import annotations

from hexpipe.config import NetSettings

_PLANES = 4
_POOL_EVERY = 3
_POLICY_HIDDEN = 32
_ACTION_PLANES = 2
_PROJECTION = 64

Template = list[tuple[str, tuple[int, ...]]]


def net_template(settings: NetSettings, num_seats: int) -> Template:
    """(name, shape) of every weight of the net of ``settings``."""
    channels, hidden = settings.channels, min(settings.channels, _POLICY_HIDDEN)
    template = _conv("trunk.stem", _PLANES, channels, 3)
    for block in range(settings.blocks):
        prefix = f"trunk.blocks.{block}"
        template += _conv(f"{prefix}.conv1", channels, channels, 3)
        template += _conv(f"{prefix}.conv2", channels, channels, 3)
        if block % _POOL_EVERY == _POOL_EVERY - 1:
            template += _linear(f"{prefix}.pool_bias", 2 * channels, channels)
    if settings.dynamics_blocks:
        template += _dynamics(settings)
    template += _conv("policy.conv", channels, hidden, 1)
    template += [("policy.pool_bias.weight", (hidden, 2 * channels))]
    template += [("policy.cell_logits.weight", (1, hidden, 1, 1)), ("policy.cell_logits.bias", (1,))]
    template += _linear("policy.swap_hidden", 2 * channels, hidden)
    template += _linear("policy.swap_logit", hidden, 1)
    for head in ("value", "reward") if settings.dynamics_blocks else ("value",):
        template += _linear(f"{head}.hidden", 2 * channels, settings.value_hidden)
        template += _linear(f"{head}.logits", settings.value_hidden, num_seats)
    if settings.dynamics_blocks:
        template += _linear("projection", 2 * channels, _PROJECTION)
        template += _linear("predictor.0", _PROJECTION, _PROJECTION) + _linear("predictor.2", _PROJECTION, _PROJECTION)
    return template


def _dynamics(settings: NetSettings) -> Template:
    channels = settings.channels
    template = _conv("dynamics.stem", channels + _ACTION_PLANES, channels, 3)
    for block in range(settings.dynamics_blocks):
        prefix = f"dynamics.blocks.{block}"
        template += _conv(f"{prefix}.conv1", channels, channels, 3)
        template += _conv(f"{prefix}.conv2", channels, channels, 3)
        if block % 2 == 1:
            template += _linear(f"{prefix}.pool_bias", 2 * channels, channels)
    return template


def num_parameters(template: Template) -> int:
    """Numbers in all the weights."""
    total = 0
    for _, shape in template:
        count = 1
        for length in shape:
            count *= length
        total += count
    return total


def _conv(name: str, inputs: int, outputs: int, kernel: int) -> Template:
    return [
        (f"{name}.weight", (outputs, inputs, kernel, kernel)),
        (f"{name}.gain", (outputs,)),
        (f"{name}.bias", (outputs,)),
    ]


def _linear(name: str, inputs: int, outputs: int) -> Template:
    return [(f"{name}.weight", (outputs, inputs)), (f"{name}.bias", (outputs,))]
