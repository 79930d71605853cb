"""Simulations, temperatures and targets by the ply: the schedule itself, and what self-play makes of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hexpipe.errors import SettingsError
from hexpipe.games.hex import Hex
from hexpipe.records import unpack_policies
from hexpipe.search.mcts import Mcts
from hexpipe.selfplay.schedule import Schedule
from hexpipe.selfplay.self_play import SelfPlay
from tests.refusals import refused
from tests.search import reference
from tests.selfplay.evaluators import HashLatents
from tests.selfplay.test_self_play import CountingEvaluator, play, small_settings

PLIES = np.array([0, 1, 2, 3, 4, 99], np.int32)
NO_FAST = np.zeros(len(PLIES), np.bool_)


def schedule(**options: Any) -> Schedule:
    return Schedule(small_settings(**options))


def test_the_defaults_know_no_phases() -> None:
    default = schedule()
    assert default.simulations(PLIES, NO_FAST) is None
    assert not default.fast(100, np.random.default_rng(0)).any()
    assert default.most_simulations == 12
    assert default.temperatures(PLIES).tolist() == [1, 1, 1, 1, 1, 0]
    policy = np.array([[0.5, 0.25, 0.25]], np.float32)
    assert default.targets(policy) is policy


def test_phases_begin_at_their_plies() -> None:
    phases = schedule(**{"search.phase_simulations": (4, 12, 6), "search.phase_plies": (1, 3)})
    simulations = phases.simulations(PLIES, NO_FAST)
    assert simulations is not None
    assert simulations.tolist() == [4, 12, 12, 6, 6, 6]
    assert phases.most_simulations == 12
    with refused(SettingsError, kind="range", setting="search.phase_simulations", low=2, high=12):
        schedule(**{"search.phase_simulations": (4, 13, 6)})


def test_fast_searches_have_their_share_and_simulations() -> None:
    fast = schedule(**{"selfplay.fast_share": 0.75, "selfplay.fast_simulations": 5})
    drawn = fast.fast(10_000, np.random.default_rng(0))
    assert drawn.mean() == pytest.approx(0.75, abs=0.02)
    mixed = np.array([True, False, True, False, False, True])
    simulations = fast.simulations(PLIES, mixed)
    assert simulations is not None
    assert simulations.tolist() == [5, 12, 5, 12, 12, 5]
    phases = schedule(
        **{"search.phase_simulations": (4, 12, 6), "search.phase_plies": (1, 3), "selfplay.fast_simulations": 5}
    )
    simulations = phases.simulations(PLIES, mixed)
    assert simulations is not None
    assert simulations.tolist() == [4, 12, 5, 6, 6, 5]
    long = schedule(**{"selfplay.fast_share": 0.5, "selfplay.fast_simulations": 13})
    simulations = long.simulations(PLIES, mixed)
    assert simulations is not None
    assert simulations.tolist() == [12] * 6, "no search is longer than the others"


@pytest.mark.parametrize("root", ["puct", "gumbel"])
def test_fast_moves_are_recorded_without_a_policy_and_searched_less(root: str) -> None:
    game, options = Hex(4), {"search.root": root, "search.early_stop": False, "search.reuse_tree": False}
    whole, slow = play(game, small_settings(**options), 0, 30)
    fast = {"selfplay.fast_share": 0.75, "selfplay.fast_simulations": 3}
    records, quick = play(game, small_settings(**options, **fast), 0, 30)
    known = np.concatenate(
        [unpack_policies(r.policy_offsets, r.policy_bytes, 16).any(1) for r in records]  # 0 where there is none
    )
    assert known.mean() == pytest.approx(0.25, abs=0.1)
    assert all(unpack_policies(r.policy_offsets, r.policy_bytes, 16).any(1).all() for r in whole)
    each = [played.stats.simulations / played.stats.moves for played in (slow, quick)]
    assert each[1] < 0.6 * each[0]
    for record in records:  # a fast move is there as the one action of its policy
        kept = unpack_policies(record.policy_offsets, record.policy_bytes, 16)
        ends = record.policy_offsets[1:].astype(np.int64)
        for ply in np.flatnonzero(~kept.any(1)).tolist():
            mask = record.policy_bytes[ends[ply] - 3 : ends[ply] - 1]
            assert np.flatnonzero(np.unpackbits(mask, bitorder="little")).tolist() == [record.actions[ply]]


def test_the_temperature_drops_at_its_ply() -> None:
    drop = {"selfplay.temperature": 2.0, "selfplay.temperature_plies": 2}
    assert schedule(**drop).temperatures(PLIES).tolist() == [2, 2, 0, 0, 0, 0]
    assert schedule(**drop).may_stop(PLIES).tolist() == [False, False, True, True, True, True]
    late = schedule(**drop, **{"selfplay.temperature_late": 0.25})
    assert late.temperatures(PLIES).tolist() == [2, 2, 0.25, 0.25, 0.25, 0.25]
    assert not late.may_stop(PLIES).any()  # a move that is drawn needs every visit
    gumbel = schedule(**drop, **{"selfplay.temperature_late": 0.25, "search.root": "gumbel"})
    assert not gumbel.temperatures(PLIES).any()


@pytest.mark.parametrize("temperature", [0.5, 2.0, 10.0])
def test_targets_have_their_temperature(temperature: float) -> None:
    policies = np.array([[0.5, 0.3, 0.2, 0.0], [1.0, 0.0, 0.0, 0.0], [0.1, 0.2, 0.3, 0.4]], np.float32)
    targets = schedule(**{"selfplay.policy_temperature": temperature}).targets(policies)
    wanted = policies.astype(np.float64) ** (1 / temperature)
    np.testing.assert_allclose(targets, wanted / wanted.sum(1, keepdims=True), rtol=1e-5)


@pytest.mark.parametrize("root", ["puct", "gumbel"])
@pytest.mark.parametrize("learned", [False, True], ids=["rules", "learned"])
def test_every_ply_has_the_simulations_of_its_phase(root: str, learned: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted where the results are read: at least the phase's number (a kept subtree adds to it), none of another."""
    wanted = {"search.phase_simulations": (4, 12, 6), "search.phase_plies": (2, 5), "search.solver": False}
    exact = {"search.early_stop": False, "search.reuse_tree": False, "search.root": root}
    settings = small_settings(**wanted, **exact, **({"algorithm": "muzero"} if learned else {}))
    game, seen = Hex(4), set()
    results_of = Mcts.results

    def results(self: Mcts, games: np.ndarray) -> Any:
        found = results_of(self, games)
        plies = self.states.ply[self.root_rows(games)].tolist()
        seen.update(zip(plies, found.visit_counts.sum(1).tolist(), strict=True))
        return found

    monkeypatch.setattr(Mcts, "results", results)
    records: list[Any] = []
    evaluator = HashLatents(game, 3) if learned else CountingEvaluator(reference.hash_evaluator(game, 3))
    selfplay = SelfPlay(game, settings, evaluator, 0, records.append)
    while len(records) < 6:
        selfplay.step()
    longest = max(record.num_plies for record in records)
    assert longest > 5
    assert {ply: count for ply, count in seen if ply < longest} == {
        ply: 4 if ply < 2 else 12 if ply < 5 else 6 for ply in range(longest)
    }
    assert {record.simulations for record in records} == {12}


def test_moves_are_drawn_from_the_searches_policy_and_learned_with_the_targets_temperature() -> None:
    """The same games as without a policy temperature; only what is learned from them is another policy."""
    game = Hex(4)
    plain, _ = play(game, small_settings(), 0, 20)
    soft, _ = play(game, small_settings(**{"selfplay.policy_temperature": 2.0}), 0, 20)
    assert [record.actions.tolist() for record in soft] == [record.actions.tolist() for record in plain]
    for one, other in zip(plain, soft, strict=True):
        before, after = (unpack_policies(r.policy_offsets, r.policy_bytes, 16) for r in (one, other))
        wanted = before**0.5
        np.testing.assert_allclose(after, wanted / wanted.sum(1, keepdims=True), atol=0.03)  # packing rounds both


def test_late_moves_are_drawn_where_a_late_temperature_says_so() -> None:
    game = Hex(4)
    drawn = {"selfplay.temperature_plies": 2, "selfplay.temperature_late": 1.0}
    records, _ = play(game, small_settings(**drawn), 0, 30)
    late = []
    for record in records:
        policies = unpack_policies(record.policy_offsets, record.policy_bytes, 16)
        late += [bool(policies[ply, a] == policies[ply].max()) for ply, a in enumerate(record.actions) if ply >= 2]
    assert 0.2 < np.mean(late) < 0.95
