from __future__ import annotations

import numpy as np
import pytest
import torch

from hexpipe.games.hex import Hex
from hexpipe.games.hex_solver import HexSolver
from hexpipe.games.inarow import InARow
from hexpipe.roles.solver_check import SolverCheck
from tests.games.reference_inarow import game_settings


class Knowing(torch.nn.Module):
    """A net that solves what it is shown, in the net's frame, where the mover connects top to bottom; or errs."""

    def __init__(self, size: int, errs: bool) -> None:
        super().__init__()
        self.solver, self.size, self.errs = HexSolver(size), size, errs

    def root_logits(self, codes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        policy = torch.zeros(len(codes), self.size**2)
        value = torch.zeros(len(codes), 2)
        for row, code in enumerate(codes.numpy()):
            best = self.solver.winning_moves(code[: self.size**2], 0)
            policy[row, best] = -1.0 if self.errs else 1.0
            value[row, 0] = (1 if best else -1) * (-1 if self.errs else 1)
        return policy, value


@pytest.mark.parametrize("swap", [False, True])
def test_a_net_that_solves_agrees_and_one_that_errs_does_not(swap: bool) -> None:
    check = SolverCheck.create(Hex(3, swap), seed=1)
    assert check is not None
    assert check.wait(60.0)
    device = torch.device("cpu")
    assert check.score(Knowing(3, errs=False), device) == (1.0, 1.0)  # type: ignore[arg-type]
    score = check.score(Knowing(3, errs=True), device)  # type: ignore[arg-type]
    assert score is not None
    assert score[0] == 0.0
    assert score[1] < 0.5


def test_a_net_that_knows_nothing_has_half() -> None:
    check = SolverCheck.create(Hex(4), seed=1)
    assert check is not None
    assert check.wait(60.0)
    know_nothing = torch.nn.Module()
    know_nothing.root_logits = lambda codes: (torch.zeros(len(codes), 16), torch.zeros(len(codes), 2))
    score = check.score(know_nothing, torch.device("cpu"))  # type: ignore[arg-type]
    assert score is not None
    assert score[0] == pytest.approx(0.5)
    assert 0.0 < float(np.mean(check._values > 0)) < 1.0


def test_boards_that_take_long_to_solve_have_positions_of_a_file() -> None:
    check = SolverCheck.create(Hex(7, swap=True), seed=1)
    assert check is not None
    assert check.wait(60.0)
    assert 200 <= len(check._values) <= 256
    for code, value, winning in zip(check._codes, check._values, check._winning, strict=True):
        assert (value > 0) == winning.any()
        assert not winning[:49][code[:49] > 0].any()


def test_large_boards_have_no_check() -> None:
    assert SolverCheck.create(Hex(9), seed=1) is None
    assert SolverCheck.create(InARow(game_settings(4, 4)), seed=1) is None
