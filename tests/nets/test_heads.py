"""What a net tells beside policy and value: which nets have which heads, what folding keeps, what a fresh net says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hexpipe.config import NetSettings, Shapes, load_settings
from hexpipe.errors import CheckpointError
from hexpipe.games.factory import make_game
from hexpipe.learner.learner import Learner
from hexpipe.nets.checkpoints import load_checkpoint
from hexpipe.nets.choose_backend import random_codes
from hexpipe.nets.factory import InferenceNet, Net, build_net, fold, load_weights, net_weights
from hexpipe.nets.heads import SideLogits
from tests.refusals import refused

SETTINGS = {
    "resnet": NetSettings(blocks=2, channels=16, value_hidden=8),
    "transformer": NetSettings(backbone="transformer", blocks=2, channels=16, value_hidden=8),
    "muzero": NetSettings(blocks=2, channels=16, value_hidden=8, dynamics_blocks=1),
}
HEX = Shapes(5, 25, 2, 25, turns_frame=True)


def inarow(**rules: Any) -> Shapes:
    chosen = {"game.name": "inarow", "game.win_length": 4, **{f"game.{name}": value for name, value in rules.items()}}
    return make_game(load_settings("quick", chosen).game).shapes


LARGE = inarow(board_size=15, players=3, view_size=7)  # with a thumbnail
SMALL = inarow(board_size=5)  # without


def shaken(settings: NetSettings, shapes: Shapes) -> Net:
    torch.manual_seed(3)
    net = build_net(settings, shapes)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return net


def outputs(net: Net, codes: torch.Tensor) -> tuple[Any, ...]:
    """What training sees; of a net with dynamics with two steps."""
    if net.settings.dynamics_blocks:
        return net(codes, torch.zeros(len(codes), 2, dtype=torch.int64))
    return net(codes)


@pytest.mark.parametrize("kind", SETTINGS)
def test_a_net_has_the_heads_that_its_game_asks_for(kind: str) -> None:
    steps = (3,) if kind == "muzero" else ()
    own = 4 if kind == "muzero" else 2
    hexagons = outputs(shaken(SETTINGS[kind], HEX), torch.from_numpy(random_codes(HEX, 4)))
    assert len(hexagons) == own  # nothing more: Hex pays for no head
    for shapes, focus, threats in (
        (SMALL, None, (4, *steps, 2, 3)),
        (LARGE, (4, *steps, 49), (4, *steps, 3, 3)),
    ):
        net = shaken(SETTINGS[kind], shapes)
        *_, side = given = outputs(net, torch.from_numpy(random_codes(shapes, 4)))
        assert len(given) == own + 1
        assert isinstance(side, SideLogits)
        assert [None if part is None else tuple(part.shape) for part in side] == [focus, threats]
        names = {name.split(".")[1] for name in net_weights(net) if name.startswith("side.")}
        assert names == {"threats"} | ({"focus"} if focus else set())


@pytest.mark.parametrize("kind", SETTINGS)
def test_a_folded_net_looks_where_the_net_does_and_computes_no_threats(kind: str) -> None:
    net = shaken(SETTINGS[kind], LARGE)
    folded, codes = fold(net), torch.from_numpy(random_codes(LARGE, 8))
    assert not any("threats" in name for name, _ in folded.named_parameters())
    *plain, side = outputs(net, codes)
    *folded_plain, folded_side = outputs(folded, codes)
    assert folded_side.threats is None
    for own, other in zip([*plain, side.focus], [*folded_plain, folded_side.focus], strict=True):
        torch.testing.assert_close(own, other, atol=2e-5, rtol=1e-4)
    if kind == "muzero":
        _, _, _, focus = net.initial(codes)
        wanted = side.focus[:, 0]
    else:
        _, _, focus = InferenceNet(net)(codes)
        wanted = side.focus
    assert focus.dtype == torch.int16
    assert focus.tolist() == wanted.argmax(1).tolist()
    assert len(set(focus.tolist())) > 1


def test_dynamics_look_from_every_imagined_position() -> None:
    """What the unroll tells at a step is what a search is told of that child."""
    net = shaken(SETTINGS["muzero"], LARGE)
    codes, actions = torch.from_numpy(random_codes(LARGE, 6)), torch.arange(12).reshape(6, 2) * 4
    *_, side = net(codes, actions)
    latent, *_ = net.initial(codes)
    for step in range(2):
        latent, _, _, _, focus = net.recurrent(latent, actions[:, step])
        assert focus.tolist() == side.focus[:, step + 1].argmax(1).tolist()
        torch.testing.assert_close(net.predict(latent)[2].threats, side.threats[:, step + 1])


@pytest.mark.parametrize("kind", SETTINGS)
def test_a_fresh_net_looks_at_the_middle_and_sees_no_threat(kind: str) -> None:
    torch.manual_seed(0)
    net = build_net(SETTINGS[kind], LARGE)
    side = outputs(net, torch.from_numpy(random_codes(LARGE, 5)))[-1]
    assert (side.focus.argmax(-1) == 24).all()
    assert side.focus.max() - side.focus.min() < 0.01  # as good as even to a loss
    assert (side.threats == 0).all()


def test_one_row_of_the_batch_does_not_touch_another() -> None:
    net, codes = shaken(SETTINGS["resnet"], LARGE), torch.from_numpy(random_codes(LARGE, 4))
    whole = net(codes)[2]
    for row in range(4):
        alone = net(codes[row : row + 1])[2]
        torch.testing.assert_close(alone.focus[0], whole.focus[row], atol=1e-5, rtol=0)
        torch.testing.assert_close(alone.threats[0], whole.threats[row], atol=1e-5, rtol=0)


def test_checkpoints_keep_the_heads_and_a_net_without_them_refuses() -> None:
    net = shaken(SETTINGS["resnet"], LARGE)
    weights = net_weights(net)
    again = build_net(SETTINGS["resnet"], LARGE)
    load_weights(again, weights)
    codes = torch.from_numpy(random_codes(LARGE, 3))
    for one, other in zip(net(codes)[2], again(codes)[2], strict=True):
        assert torch.equal(one, other)
    with refused(CheckpointError, "side.threats", kind="foreign"):
        load_weights(build_net(SETTINGS["resnet"], HEX), {n: w for n, w in weights.items() if "focus" not in n})


def test_a_saved_learner_comes_back_with_its_heads(tmp_path: Path) -> None:
    changed = {"game.name": "inarow", "game.board_size": 9, "game.view_size": 5, "net.blocks": 1, "net.channels": 8}
    settings = load_settings("quick", changed)
    learner = Learner(settings, make_game(settings.game).shapes)
    with torch.no_grad():
        for parameter in learner.net.parameters():
            parameter.normal_()
    learner.save(tmp_path)
    other = Learner(settings, learner.shapes)
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint.shapes == learner.shapes
    other.restore(checkpoint)
    for name, weight in net_weights(learner.net).items():
        np.testing.assert_array_equal(net_weights(other.net)[name], weight)
    assert any(name.startswith("side.focus") for name in net_weights(other.net))
