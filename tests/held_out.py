"""How fast recipes of the learner learn from the same stored games: losses on games that none of them was trained on.

    python tests/held_out.py RUN [--samples N] [--seed N] [--recipe "learner.muon_rate=0 learner.batch_size=64"]...

Of the games of RUN on its last board each twelfth is held out. Each recipe, settings of the net and the learner over
those of the run, trains a fresh net on N samples of the others, on one thread, its rates falling to the end. Printed
are the mean losses of the averaged weights on 6,144 positions held out, and the processor seconds of the steps. Where
only the learner changes this tells two recipes apart in two minutes, and says nothing of what they would have played.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch

from hexpipe.config import Settings, override_settings
from hexpipe.games.factory import make_games_of_net, make_stages
from hexpipe.games.game_env import Game
from hexpipe.learner.learner import Learner
from hexpipe.learner.losses import compute_losses
from hexpipe.nets.factory import build_net, load_weights
from hexpipe.records import GameRecord
from hexpipe.replay.archive import ReplayArchive
from hexpipe.replay.data_augment import apply_board_augment
from hexpipe.replay.replay_buffer import ReplayBuffer
from hexpipe.replay.targets import Batch
from hexpipe.run_folder import ARCHIVE_NAME, read_settings

EACH = 12
BATCHES, BATCH = 12, 512


def buffers(settings: Settings, run: Path) -> tuple[Game, ReplayBuffer, ReplayBuffer]:
    """Return the last board's game, a buffer of the games to train on, and one of those held out."""
    last = settings.at_stage(len(settings.stages) - 1) if settings.plays_in_legs else settings
    games = make_games_of_net(last)
    replay = last.replay.model_copy(update={"max_games": 100_000})
    trained, held_out = (ReplayBuffer.create(replay, games, private=True) for _ in range(2))
    for number, record in records(settings, run):
        if record.board_size == games[-1].board_size:
            (trained if number % EACH else held_out).add_game(record)
    return games[-1], trained, held_out


def records(settings: Settings, run: Path) -> Iterator[tuple[int, GameRecord]]:
    """Yield all games with their numbers."""
    with ReplayArchive(run / ARCHIVE_NAME, make_stages(settings), read_only=True) as archive:
        yield from enumerate(archive.games_after(0), start=1)


@torch.no_grad()
def losses(learner: Learner, batches: list[Batch]) -> tuple[float, float, float]:
    """Return the averaged weights' mean value loss, divergence from the policies, and share of values' signs right."""
    net = build_net(learner.settings.net, learner.shapes)
    load_weights(net, learner.ema_weights())
    found = []
    for batch in batches:
        policy_logits, value_logits, *_ = net(torch.from_numpy(batch["codes"]))
        targets = (torch.from_numpy(batch[name])[:, 0] for name in ("policy", "values", "mask"))
        each = compute_losses(policy_logits, value_logits, *targets, value_weight=1.0)
        found.append([float(each.value_loss), float(each.policy_kl), float(each.value_sign_accuracy)])
    value, policy, signs = np.mean(found, axis=0).tolist()
    return value, policy, signs


def parsed(text: str) -> float | int | str:
    """Return a number, or the text of what is none."""
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text


def main() -> None:
    """Train and print, a line a recipe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--samples", type=int, default=256_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--recipe", action="append", default=[], help='settings: "learner.muon_rate=0.05 ..."')
    given = parser.parse_args()
    torch.set_num_threads(1)
    settings = read_settings(given.run)
    game, trained, held_out = buffers(settings, given.run)
    rng = np.random.default_rng(1)
    batches = [held_out.sample_batch(BATCH, rng, 0) for _ in range(BATCHES)]
    print(f"{trained.num_positions:,} positions to train on; value loss, policy divergence, signs right")  # noqa: T201
    for recipe in given.recipe or [""]:
        changes: dict[str, object] = {"seed": given.seed, "limits.minutes": 0.0, "curriculum.stages": ()}
        for text in recipe.split():
            name, _, value = text.partition("=")
            changes[name] = parsed(value)
        size = int(str(changes.get("learner.batch_size", settings.learner.batch_size)))
        changes["limits.steps"] = given.samples // size
        learner = Learner(override_settings(settings, changes), game.shapes)
        rng, began = np.random.default_rng(given.seed), time.process_time()
        for _ in range(given.samples // size):
            batch = trained.sample_batch(size, rng, 0)
            apply_board_augment(batch, game, rng)
            learner.step(batch)
        seconds = time.process_time() - began
        value, policy, signs = losses(learner, batches)
        figures = f"{value:.4f}  {policy:.4f}  {signs:.1%}  {seconds:4.0f} s"
        print(f"{figures}  {recipe or 'as the run'}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
