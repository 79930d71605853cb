"""Names and shapes of the net's weights, without torch.

The supervisor sizes the weights board with them, and weights are checked against them before a net is built.

This duplicates the construction in `hexpipe.nets` on purpose: importing torch into the supervisor would take seconds of
every start and hundreds of megabytes, and no process exists before it. Sizes that are not settings are defined only
here. A test compares all with the real nets.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from hexpipe.config import NetSettings, Shapes
from hexpipe.errors import CheckpointError

POOL_EVERY = 3  # every third block of a residual trunk adds a pooled bias
DYNAMICS_POOL_EVERY = 2
HEAD_CHANNELS = 32  # of a head with a logit for each cell, or the trunk's if fewer
DENSE_CHANNELS, DENSE_FEATURES = 4, 512  # a dense policy reads so many channels at least, and features where it can
DENSE_ACTION_PLANES = 16  # in which learned dynamics see an action where none is a cell
PROJECTION = 64  # outputs of the consistency loss's projection: EfficientZero has 1024 for Atari's images
THREAT_LEVELS = 3  # of a seat: its longest chain is 3 or fewer stones from a win, 2 or fewer, 1
ILLEGAL_LOGIT = -1e9  # of illegal actions: its exp() is exactly 0, and it is finite
MIDDLE_FIRST = 1e-3  # subtracted from a bucket's logit for each step from the middle
FULL_BUCKET = 127.0
NORM_EPS = 1e-6
ROTARY_BASE = 100.0  # the slowest pair rotates by a radian in up to a hundred cells: more than the largest board
DELTA = 1e-3  # added to squared distances to an engram's entry (Pritzel et al.): one this near counts as equal
NEIGHBOURS = 8  # entries of an engram that a position is compared with, or all if there are fewer
KEY_SIZE = 32  # dimensions of an engram's key: a look-up's cost grows with them; a small board needs no more

_WHOLE_NUMBERS = ("engram.sources", "engram.cursor")

Template = list[tuple[str, tuple[int, ...]]]


def net_template(settings: NetSettings, shapes: Shapes) -> Template:
    """Return (name, shape) of every weight of the net of ``settings``."""
    channels, hidden, seats = settings.channels, min(settings.channels, HEAD_CHANNELS), shapes.num_seats
    template = _conv("trunk.stem", shapes.num_planes, channels, 3)
    if settings.backbone == "transformer":
        template += _transformer(settings)
    else:
        template += _blocks("trunk", settings.blocks, channels, POOL_EVERY)
    if shapes.cell_actions:
        template += _cell_head("policy", channels, hidden, shapes.cell_actions)
        template += _linear("policy.swap_hidden", 2 * channels, hidden)
        template += _linear("policy.swap_logit", hidden, other_logits(shapes))
    else:
        dense = dense_hidden(channels, shapes)
        template += _cell_features("policy", channels, dense)
        template += _linear("policy.logits", dense * shapes.view_cells, shapes.num_actions)
    template += _pooled_head("value", settings, seats)
    if shapes.thumbnail:
        template += _cell_head("side.focus", channels, hidden)
    if shapes.threats:
        template += _pooled_head("side.threats", settings, THREAT_LEVELS * seats)
    if settings.dynamics_blocks:
        if not shapes.cell_actions:
            template += [("actions.weight", (shapes.num_actions, DENSE_ACTION_PLANES))]
        template += _conv("dynamics.stem", channels + action_planes(shapes), channels, 3)
        template += _blocks("dynamics", settings.dynamics_blocks, channels, DYNAMICS_POOL_EVERY)
        template += _pooled_head("reward", settings, seats)
        template += _linear("projection", 2 * channels, PROJECTION)
        template += _linear("predictor.0", PROJECTION, PROJECTION) + _linear("predictor.2", PROJECTION, PROJECTION)
    return template + _engram(settings, shapes)


def other_logits(shapes: Shapes) -> int:
    """Return the policy's logits of actions that are no cell: one at least, so that a checkpoint fits games with and
    without a swap."""
    return max(1, shapes.num_others)


def dense_hidden(channels: int, shapes: Shapes) -> int:
    """Return the channels that a dense policy reads of each cell: fewer on larger boards."""
    return min(channels, HEAD_CHANNELS, max(DENSE_CHANNELS, DENSE_FEATURES // shapes.view_cells))


def action_planes(shapes: Shapes) -> int:
    """Return the planes in which learned dynamics see an action: the cell of each kind of cell action, then all ones
    for each action that is no cell; or, where no action is a cell, in learned ones."""
    if not shapes.cell_actions:
        return DENSE_ACTION_PLANES
    return shapes.cell_actions + other_logits(shapes)


def check_fit(
    wanted: Mapping[str, tuple[int, ...]], weights: Mapping[str, NDArray[Any]], settings: NetSettings
) -> None:
    """Raise CheckpointError, in one line, unless ``weights`` are those of a net of ``settings``: ``wanted`` by name."""
    if wanted.keys() != weights.keys():
        odd = sorted(wanted.keys() ^ weights.keys())[0]
        raise CheckpointError(
            f"the weights do not fit a {settings.backbone} of {settings.blocks} blocks with "
            f"{settings.dynamics_blocks} of dynamics ({odd[:80]!r} is on one side only); "
            "use the net settings of the checkpoint's run",
            kind="foreign",
        )
    for name, shape in wanted.items():
        if shape != weights[name].shape:
            raise CheckpointError(
                f"the weights do not fit: {name!r} is {weights[name].shape}, the net wants {shape}; "
                "use the net settings of the checkpoint's run",
                kind="foreign",
            )
        kinds, wants = ("fiu", "numbers") if name in _WHOLE_NUMBERS else ("f", "float32")
        if weights[name].dtype.kind not in kinds:
            words = f"the weights do not fit: {name!r} is {weights[name].dtype}, the net wants {wants}"
            raise CheckpointError(f"{words}; take another checkpoint", kind="foreign")


def memory_bytes(settings: NetSettings, shapes: Shapes) -> int:
    """Return the bytes of the episodic memory of a net of ``settings``, in the learner; 0 without one."""
    entry = 4 * (KEY_SIZE + shapes.num_seats + 1) + 8  # its key, values and priority: float32; its source: int64
    return settings.engram * entry + 8 if settings.engram else 0


def _engram(settings: NetSettings, shapes: Shapes) -> Template:
    entries, channels, seats = settings.engram, settings.channels, shapes.num_seats
    if not entries:
        return []
    return [
        ("engram.keys", (entries, KEY_SIZE)),
        ("engram.values", (entries, seats)),
        ("engram.priorities", (entries,)),
        ("engram.sources", (entries,)),
        ("engram.cursor", (1,)),
        ("engram.project.weight", (KEY_SIZE, 2 * channels)),
        ("engram.log_sharpness", (1,)),
        ("engram.read_out.weight", (2 * channels, seats)),
        ("engram.gate", (1,)),
    ]


def _blocks(part: str, blocks: int, channels: int, pool_every: int) -> Template:
    template: Template = []
    for block in range(blocks):
        prefix = f"{part}.blocks.{block}"
        template += _conv(f"{prefix}.conv1", channels, channels, 3)
        template += _conv(f"{prefix}.conv2", channels, channels, 3)
        if (block + 1) % pool_every == 0:
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
    """Return the number of parameters."""
    return sum(math.prod(shape) for _, shape in template)


def _cell_head(name: str, channels: int, hidden: int, planes: int = 1) -> Template:
    logits = f"{name}.cell_logits"
    template = _cell_features(name, channels, hidden)
    return [*template, (f"{logits}.weight", (planes, hidden, 1, 1)), (f"{logits}.bias", (planes,))]


def _cell_features(name: str, channels: int, hidden: int) -> Template:
    return [*_conv(f"{name}.conv", channels, hidden, 1), (f"{name}.pool_bias.weight", (hidden, 2 * channels))]


def _pooled_head(name: str, settings: NetSettings, outputs: int) -> Template:
    hidden = settings.value_hidden
    return _linear(f"{name}.hidden", 2 * settings.channels, hidden) + _linear(f"{name}.logits", hidden, outputs)


def _conv(name: str, inputs: int, outputs: int, kernel: int) -> Template:
    return [
        (f"{name}.weight", (outputs, inputs, kernel, kernel)),
        (f"{name}.gain", (outputs,)),
        (f"{name}.bias", (outputs,)),
    ]


def _linear(name: str, inputs: int, outputs: int) -> Template:
    return [(f"{name}.weight", (outputs, inputs)), (f"{name}.bias", (outputs,))]


def check_shapes(shapes: Shapes) -> None:
    """Raise ValueError if these planes cannot represent ``shapes``."""
    whole = shapes.thumbnail or shapes.view_size >= shapes.board_size
    if shapes.declared:
        ends = [plane.codes(shapes.view_cells).stop for plane in shapes.declared]
        fits = min(plane.at for plane in shapes.declared) >= 0 and max(ends) <= shapes.code_length
        fits = fits and shapes.code_length >= shapes.num_actions and min(shapes.cell_actions, shapes.num_others) >= 0
        fits = fits and not (shapes.thumbnail or shapes.turns_frame)
    else:
        small = (shapes.num_seats + 1) * shapes.view_cells if shapes.thumbnail else 0
        fits = shapes.num_others in (0, 1) and shapes.cell_actions == 1
        fits = fits and shapes.code_length == shapes.num_actions + small
    if not whole or not fits or (shapes.turns_frame and shapes.flips_frame):
        raise ValueError(f"the planes do not show what these shapes tell: {shapes}")
