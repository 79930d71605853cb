from __future__ import annotations

import math
from contextlib import nullcontext

import numpy as np
import pytest
import torch

from hexpipe.config import NetSettings, Shapes, load_settings
from hexpipe.errors import CheckpointError
from hexpipe.games.factory import make_game
from hexpipe.nets.factory import InferenceNet, build_net, fold, load_weights, net_weights
from hexpipe.nets.heads import value_from_logits
from hexpipe.nets.net_template import ILLEGAL_LOGIT
from hexpipe.nets.planes import expand_codes, illegal_mask
from hexpipe.nets.resnet import StandardisedConv2d, global_pool, standardised_once
from tests.refusals import refused

SMALL = NetSettings(blocks=3, channels=16, value_hidden=16)


def shapes(size: int, swap: bool = False) -> Shapes:
    actions = size * size + swap
    return Shapes(board_size=size, num_actions=actions, num_seats=2, code_length=actions, turns_frame=True)


def random_codes(batch: int, board: Shapes, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 3, (batch, board.code_length)).astype(np.int8)
    codes[:, board.view_cells :] = rng.integers(0, 2, (batch, board.code_length - board.view_cells))
    return torch.from_numpy(codes)


def shaken_net(board: Shapes, seed: int = 0):
    """A net with every parameter away from its start, so that no term of a test is zero by chance."""
    torch.manual_seed(seed)
    net = build_net(SMALL, board)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return net


def reference_planes(codes: np.ndarray, n: int) -> np.ndarray:
    planes = np.zeros((len(codes), 4, n + 2, n + 2), np.float32)
    for b, code in enumerate(codes):
        for row in range(-1, n + 1):
            for col in range(-1, n + 1):
                spot = (row + 1, col + 1)
                if row in (-1, n):
                    planes[b, 0][spot] = 1
                if col in (-1, n):
                    planes[b, 1][spot] = 1
                if 0 <= row < n and 0 <= col < n:
                    planes[b, {1: 0, 2: 1, 0: 2}[int(code[row * n + col])]][spot] = 1
                    if len(code) > n * n and code[n * n] == 1:
                        planes[b, 3][spot] = 1
    return planes


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("size", [3, 5, 6])
def test_planes_equal_the_slow_reference(size: int, swap: bool) -> None:
    board = shapes(size, swap)
    codes = random_codes(7, board)
    np.testing.assert_array_equal(expand_codes(codes, board).numpy(), reference_planes(codes.numpy(), size))


@pytest.mark.parametrize("swap", [False, True])
def test_forward_masks_exactly_the_illegal_actions(swap: bool) -> None:
    board = shapes(5, swap)
    codes = random_codes(9, board)
    policy, value = shaken_net(board)(codes)
    assert policy.shape == (9, board.num_actions)
    assert value.shape == (9, 2)
    legal = codes[:, :25] == 0
    if swap:
        legal = torch.cat((legal, codes[:, 25:] == 1), dim=1)
    assert torch.equal(policy == ILLEGAL_LOGIT, ~legal)


@pytest.mark.parametrize("swap", [False, True])
def test_fold_changes_nothing(swap: bool) -> None:
    board = shapes(6, swap)
    net = shaken_net(board)
    folded = fold(net)
    assert not any(isinstance(module, StandardisedConv2d) for module in folded.modules())
    codes = random_codes(16, board)
    with torch.no_grad():
        for expected, got in zip(net(codes), folded(codes), strict=True):
            torch.testing.assert_close(got, expected, rtol=0, atol=1e-5)


def test_weights_of_one_size_serve_another() -> None:
    small, large = shapes(5), shapes(11, swap=True)
    net = build_net(SMALL, large)
    trained = shaken_net(small)
    load_weights(net, net_weights(trained))
    net.load_state_dict(trained.state_dict())
    priors, values = InferenceNet(net)(random_codes(4, large))
    torch.testing.assert_close(priors.sum(dim=1), torch.ones(4))
    assert values.abs().max() <= 1


def test_weights_that_do_not_fit_are_refused() -> None:
    net = build_net(SMALL, shapes(5))
    weights = net_weights(net)
    wide = net_weights(build_net(SMALL.model_copy(update={"channels": 24}), shapes(5)))
    with refused(CheckpointError, "(24,", kind="foreign"):
        load_weights(net, wide)
    weights.pop("value.logits.bias")
    with refused(CheckpointError, "value.logits.bias", kind="foreign"):
        load_weights(net, weights)


def test_values_are_per_seat() -> None:
    torch.testing.assert_close(value_from_logits(torch.zeros(2, 2), 2), torch.zeros(2, 2))
    two = value_from_logits(torch.tensor([[0.3, -0.4]]), 2)
    torch.testing.assert_close(two[0, 0], torch.sigmoid(torch.tensor(0.7)) * 2 - 1)
    torch.testing.assert_close(two.sum(), torch.tensor(0.0))
    three = value_from_logits(torch.tensor([[50.0, 0.0, -1.0]]), 3)
    torch.testing.assert_close(three, torch.tensor([[1.0, 0.0, math.tanh(-0.5)]]))


@pytest.mark.parametrize(("size", "view", "players"), [(3, 3, 2), (5, 5, 3), (9, 5, 2), (9, 5, 3), (7, 9, 2)])
def test_planes_of_n_in_a_row(size: int, view: int, players: int) -> None:
    """Against the game itself, played at random, cell by cell."""
    settings = {"game.name": "inarow", "game.board_size": size, "game.players": players, "game.view_size": view}
    game = make_game(load_settings("quick", {**settings, "game.win_length": 3}).game)
    rng, states, row = np.random.default_rng(0), game.new_states(1), np.zeros(1, np.int32)
    legal, codes = np.zeros((1, game.num_actions), np.bool_), np.zeros((1, game.shapes.code_length), np.int8)
    while states.winner[0] < 0:
        game.codes(states, row, codes)
        planes = expand_codes(torch.from_numpy(codes), game.shapes).numpy()[0]
        assert planes.shape == (game.shapes.num_planes, view + 2, view + 2)
        for i in range(-1, view + 1):
            for j in range(-1, view + 1):
                y, x = states.origin[0] + (i, j)
                ring = not (0 <= i < view and 0 <= j < view)
                wanted = np.zeros(players + 2)
                if ring or not (0 <= y < size and 0 <= x < size):
                    wanted[players + 1] = 1
                elif stone := states.cells[0, y * size + x]:
                    wanted[(stone - 1 - states.to_move[0]) % players] = 1
                else:
                    wanted[players] = 1
                assert planes[: players + 2, i + 1, j + 1].tolist() == wanted.tolist()
        game.legal_mask(states, row, legal)
        illegal = illegal_mask(torch.from_numpy(codes), game.shapes).numpy()
        assert np.array_equal(illegal, ~legal)
        if game.shapes.thumbnail:
            small = planes[players + 2 :, 1:-1, 1:-1]
            assert small.min() >= 0
            assert small.max() <= 1
            assert (small[:-1].sum((1, 2)) > 0).sum() == min(players, states.ply[0])
            assert set(np.unique(small[-1])) == {0, 1}
        game.step(states, row, np.array([rng.choice(np.flatnonzero(legal[0]))]), row)


def test_the_net_sees_whether_the_action_that_is_no_cell_is_legal() -> None:
    """In a plane of its own, where seats do not turn the board; closed cells look like those off the board."""
    board = Shapes(board_size=3, num_actions=10, num_seats=2, code_length=10)
    codes = torch.tensor([[0, 1, 2, 4, 0, 0, 0, 0, 0, 1], [0, 1, 2, 4, 0, 0, 0, 0, 0, 0]], dtype=torch.int8)
    planes = expand_codes(codes, board)
    assert planes.shape == (2, board.num_planes, 5, 5) == (2, 5, 5, 5)
    assert planes[:, 3, 2, 1].tolist() == [1, 1]
    assert planes[0, 4, 1:-1, 1:-1].tolist() == [[1] * 3] * 3
    assert planes[0, 4].sum() == 9
    assert not planes[1, 4].any()
    assert illegal_mask(codes, board)[:, 3:].sum(1).tolist() == [1, 2]


def test_no_row_depends_on_its_batch() -> None:
    board = shapes(5)
    net = shaken_net(board)
    codes = random_codes(8, board)
    with torch.no_grad():
        whole, single = net(codes)[1], torch.cat([net(codes[i : i + 1])[1] for i in range(8)])
    torch.testing.assert_close(whole, single, rtol=0, atol=1e-5)


def test_every_parameter_learns() -> None:
    board = shapes(5, swap=True)
    net = shaken_net(board)
    policy, value = net(random_codes(8, board))
    (policy.clamp(min=-100).square().sum() + value.square().sum()).backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_weights_that_are_standardised_together_are_those_of_each_alone(layout: torch.memory_format) -> None:
    net = shaken_net(shapes(5)).to(memory_format=layout)
    codes = random_codes(16, shapes(5))
    gradients = []
    for together in (False, True):
        with standardised_once(net) if together else nullcontext():
            policy, value = net(codes)
        net.zero_grad()
        (policy.clamp(min=-10).square().sum() + (value - 1).square().sum()).backward()
        gradients.append({name: part.grad for name, part in net.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-3, atol=1e-5, msg=name)
    assert all(part.shared is None for part in net.modules() if isinstance(part, StandardisedConv2d))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_pooling_in_training_is_that_of_play(layout: torch.memory_format) -> None:
    x = torch.randn(4, 6, 5, 5, generator=torch.Generator().manual_seed(0)).to(memory_format=layout)
    trained, plain = x.clone().requires_grad_(), x.clone().requires_grad_()
    pooled = global_pool(trained)
    torch.testing.assert_close(pooled.detach(), global_pool(x))
    wanted = torch.cat((plain.mean(dim=(2, 3)), plain.amax(dim=(2, 3))), dim=1)
    for result in (pooled, wanted):
        (result * torch.arange(12.0)).sum().backward()
    torch.testing.assert_close(trained.grad, plain.grad)
