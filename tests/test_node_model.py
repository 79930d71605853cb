"""The model of a node in SCALABILITY.md: every number of its tables follows from the inputs above them."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from hexpipe.config import load_settings
from hexpipe.games.factory import make_game

TEXT = (Path(__file__).parent.parent / "SCALABILITY.md").read_text(encoding="utf-8")
SECTION = TEXT.split("## How many cores feed how many GPUs")[1].split("\n## ")[0]
OTHERS = 3  # cores of the learner, its sampling thread and replay


def rows() -> dict[str, list[str]]:
    """The cells of every row of the section's tables, by the first of them."""
    lines = re.findall(r"^\| (.+) \|$", SECTION, re.MULTILINE)
    return {cells[0]: cells[1:] for cells in (line.split(" | ") for line in lines)}


def number(text: str) -> float:
    """The first number of ``text``, with commas or without."""
    found = re.search(r"[\d,]*\.?\d+", text)
    assert found is not None
    return float(found.group().replace(",", ""))


def figure(name: str) -> float:
    return number(rows()[name][0])


PER_CORE = figure("evaluations/s of a generator's core, its search included")


def test_inputs_are_those_of_the_preset_and_of_hex() -> None:
    settings = load_settings("standard")
    shapes = make_game(settings.game).shapes
    assert figure("bytes of an evaluation to a GPU") == shapes.code_length
    assert figure("bytes of an evaluation from a GPU") == 4 * (shapes.num_actions + shapes.num_seats)
    assert figure("evaluations of a new position") == settings.search.num_simulations
    assert figure("samples trained for a new position") == settings.learner.replay_ratio


@pytest.mark.parametrize("speed", [50_000, 100_000, 200_000, 500_000])
def test_cores_for_each_number_of_gpus(speed: int) -> None:
    cells = rows()[f"{speed:,}"]
    assert len(cells) == 8
    for gpus, cell in enumerate(cells, 1):
        generators = math.ceil(gpus * speed / PER_CORE)
        assert cell == f"{generators} / {generators + gpus + OTHERS}"


def test_where_the_rest_saturates() -> None:
    share = figure("share of a server in the CPU time of play")
    sims, ratio = figure("evaluations of a new position"), figure("samples trained for a new position")
    from_gpu = figure("bytes of an evaluation from a GPU")
    shared = figure("bytes of an evaluation through shared memory")
    wanted = {
        "a GPU's server process": PER_CORE * (1 - share) / share,
        "PCIe 4.0 x16 of a GPU, device to host": 25e9 / from_gpu,
        "shared memory": 50e9 / shared,
        "the replay process": figure("positions/s that one process adds to the buffer") * sims,
        "one sampling thread": figure("positions/s that one thread samples") * sims / ratio,
    }
    for name, evals in wanted.items():
        assert number(rows()[name][1]) == pytest.approx(evals, rel=0.005), name
    assert f"{8 * 100_000 / sims * ratio / 256:g} for eight GPUs of 100,000 at 256" in SECTION
    assert f"(cores - G - {OTHERS}) x {PER_CORE:,.0f} evaluations/s" in SECTION
