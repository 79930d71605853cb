"""The library benchmark, short: its keys, its stream of boards, and what it says that a net costs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hexpipe.bench import library
from hexpipe.bench.plain_resnet18 import PlainResNet18
from hexpipe.config import load_settings
from hexpipe.games.factory import make_game
from hexpipe.games.player_utils import side_to_move


def test_library_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "NETS", {"tiny": (1, 8)})
    monkeypatch.setattr(library, "BATCHES", (1, 16))
    figures = library.run(size=5, seconds=0.05, rounds=1, backend="eager", repeats=50)
    for batch in (1, 16):
        ratio = float(figures[f"tiny_{batch}_boards_per_s"]) / float(figures[f"tiny_{batch}_bare_boards_per_s"])
        assert float(figures[f"tiny_{batch}_efficiency"]) == pytest.approx(ratio), "of the only round"
        assert float(figures[f"tiny_{batch}_boards_per_s"]) > 0
        assert float(figures[f"tiny_auto_{batch}_boards_per_s"]) > 0
    assert figures["tiny_dtype"] == "float32", "what the library takes by itself"
    assert figures["tiny_auto_dtype"] in ("float32", "bfloat16")
    assert float(figures["read_us_per_board"]) > 0
    assert float(figures["tiny_cached_boards_per_s"]) > 0
    assert float(figures["plain_resnet18_16_boards_per_s"]) > 0
    assert 0.3 < float(figures["tiny_cache_hit_rate"]) < 1
    assert (figures["tiny_backend"], figures["tiny_lone_backend"]) == ("eager", "eager")


def test_the_plain_net_is_a_resnet_18() -> None:
    net = PlainResNet18(13)
    convolutions = sum(p.numel() for p in net.trunk.parameters() if p.ndim == 4 and p.shape[-1] == 3)
    assert convolutions == 2 * 64 * 9 + 10_985_472  # its 16 convolutions of 3x3 after the first, by its paper's table
    policy, value = net(torch.zeros(2, 2, 13, 13))
    assert (policy.shape, value.shape) == ((2, 169), (2, 1))


def test_boards_are_of_random_play() -> None:
    boards = library.random_boards(7, 200)
    movers = [side_to_move(board.ravel()) for board in boards]  # every board is one that could be played to
    assert {0, 1} == set(movers)
    assert len({board.tobytes() for board in boards}) > 190


@pytest.mark.parametrize("share", [0.0, 0.39, 1.0])
def test_repeats_are_as_many_as_asked_for(share: float) -> None:
    boards = np.arange(4000, dtype=np.int16)[:, None]
    stream = library._with_repeats(boards, share)[:, 0]
    first = np.unique(stream, return_index=True)[1]
    assert 1 - len(first) / len(stream) == pytest.approx(share, abs=0.03)
    assert (np.diff(stream[np.sort(first)]) == 1).all()


def test_multiply_adds_are_counted() -> None:
    settings = load_settings("standard", {"game.board_size": 5, "net.blocks": 1, "net.channels": 8})
    cost = library._cost(settings.net, make_game(settings.game).shapes)
    trunk = 25 * (4 * 8 * 9 + 2 * 8 * 8 * 9)
    assert trunk < cost["multiply_adds"] < 1.5 * trunk + 10_000  # the heads add a little
    assert cost["weights"] > 4 * 8 * 9 + 2 * 8 * 8 * 9
