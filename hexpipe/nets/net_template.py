"""Names and shapes of the net's weights, told without torch: the supervisor sizes the weights board with them, and
weights are held against them before a net is built.

It repeats what `hexpipe.nets` builds, on purpose: importing torch into the supervisor would take seconds of every
start and hundreds of megabytes. The test compares it with the real nets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from hexpipe.config import NetSettings, Shapes
from hexpipe.errors import CheckpointError

_POOL_EVERY = 3
_POLICY_HIDDEN = 32
_ACTION_PLANES = 2
_PROJECTION = 64
_THREAT_LEVELS = 3
_KEY_SIZE = 32

Template = list[tuple[str, tuple[int, ...]]]


def net_template(settings: NetSettings, shapes: Shapes) -> Template:
    """(name, shape) of every weight of the net of ``settings``."""
    channels, hidden = settings.channels, min(settings.channels, _POLICY_HIDDEN)
    trunk = _transformer if settings.backbone == "transformer" else _residual
    template = _conv("trunk.stem", shapes.num_planes, channels, 3) + trunk(settings)
    if settings.dynamics_blocks:
        template += _dynamics(settings)
    template += _conv("policy.conv", channels, hidden, 1)
    template += [("policy.pool_bias.weight", (hidden, 2 * channels))]
    template += [("policy.cell_logits.weight", (1, hidden, 1, 1)), ("policy.cell_logits.bias", (1,))]
    template += _linear("policy.swap_hidden", 2 * channels, hidden)
    template += _linear("policy.swap_logit", hidden, 1)
    for head in ("value", "reward") if settings.dynamics_blocks else ("value",):
        template += _linear(f"{head}.hidden", 2 * channels, settings.value_hidden)
        template += _linear(f"{head}.logits", settings.value_hidden, shapes.num_seats)
    if shapes.thumbnail:
        template += _conv("side.focus.conv", channels, hidden, 1)
        template += [("side.focus.pool_bias.weight", (hidden, 2 * channels))]
        template += [("side.focus.cell_logits.weight", (1, hidden, 1, 1)), ("side.focus.cell_logits.bias", (1,))]
    if shapes.threats:
        template += _linear("side.threats.hidden", 2 * channels, settings.value_hidden)
        template += _linear("side.threats.logits", settings.value_hidden, _THREAT_LEVELS * shapes.num_seats)
    if settings.dynamics_blocks:
        template += _linear("projection", 2 * channels, _PROJECTION)
        template += _linear("predictor.0", _PROJECTION, _PROJECTION) + _linear("predictor.2", _PROJECTION, _PROJECTION)
    if settings.engram:
        template += _memory(settings, shapes)
        template += [("engram.project.weight", (_KEY_SIZE, 2 * channels)), ("engram.log_sharpness", (1,))]
        template += [("engram.read_out.weight", (2 * channels, shapes.num_seats)), ("engram.gate", (1,))]
    return template


def check_fit(
    wanted: Mapping[str, tuple[int, ...]], weights: Mapping[str, NDArray[Any]], settings: NetSettings
) -> None:
    """CheckpointError, in one line, unless ``weights`` are those of a net of ``settings``: ``wanted`` by name."""
    if wanted.keys() != weights.keys():
        odd = sorted(wanted.keys() ^ weights.keys())[0]
        raise CheckpointError(
            f"the weights do not fit a {settings.backbone} of {settings.blocks} blocks with "
            f"{settings.dynamics_blocks} of dynamics ({odd[:80]!r} is on one side only); "
            "use the net settings of the checkpoint's run"
        )
    for name, shape in wanted.items():
        if shape != weights[name].shape:
            raise CheckpointError(
                f"the weights do not fit: {name!r} is {weights[name].shape}, the net wants {shape}; "
                "use the net settings of the checkpoint's run"
            )


def memory_bytes(settings: NetSettings, shapes: Shapes) -> int:
    """Bytes of the episodic memory that a net of ``settings`` has, as the learner keeps it; 0 where it has none."""
    if not settings.engram:
        return 0
    whole_numbers = settings.engram + 1  # sources and cursor: int64, where the rest is float32
    return 4 * num_parameters(_memory(settings, shapes)) + 4 * whole_numbers


def _memory(settings: NetSettings, shapes: Shapes) -> Template:
    entries = settings.engram
    template: Template = [("engram.keys", (entries, _KEY_SIZE)), ("engram.values", (entries, shapes.num_seats))]
    return [*template, ("engram.priorities", (entries,)), ("engram.sources", (entries,)), ("engram.cursor", (1,))]


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


def _residual(settings: NetSettings) -> Template:
    channels = settings.channels
    template: Template = []
    for block in range(settings.blocks):
        prefix = f"trunk.blocks.{block}"
        template += _conv(f"{prefix}.conv1", channels, channels, 3)
        template += _conv(f"{prefix}.conv2", channels, channels, 3)
        if block % _POOL_EVERY == _POOL_EVERY - 1:
            template += _linear(f"{prefix}.pool_bias", 2 * channels, channels)
    return template


def _transformer(settings: NetSettings) -> Template:
    channels, latent, hidden = settings.channels, settings.latent_rank, settings.ffn_multiplier * settings.channels
    rotary = channels // settings.heads // 2
    template: Template = [("trunk.norm.weight", (channels,))]
    for block in range(settings.blocks):
        prefix = f"trunk.blocks.{block}"
        template += [
            (f"{prefix}.attention_norm.weight", (channels,)),
            (f"{prefix}.attention.inputs.weight", (channels + latent + rotary, channels)),
            (f"{prefix}.attention.latent_norm.weight", (latent,)),
            (f"{prefix}.attention.up.weight", (settings.heads * 3 * rotary, latent)),
            (f"{prefix}.attention.output.weight", (channels, channels)),
            (f"{prefix}.ffn_norm.weight", (channels,)),
            (f"{prefix}.ffn.gate_up.weight", (2 * hidden, channels)),
            (f"{prefix}.ffn.down.weight", (channels, hidden)),
        ]
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
