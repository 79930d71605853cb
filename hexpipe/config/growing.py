"""Boards that grow by themselves: what a new run of n in a row begins with where its own board is too large for that.

On a board of 100x100 an untrained net plays thousands of plies before the first game ends, so that for long nothing
can be learned from. The same rules on small boards and with shorter rows end in dozens of plies, and one net plays all
boards through one view.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from hexpipe.config.inarow_options import DEFAULT_VIEW_SIZE, InARowRules
from hexpipe.config.loading import load_settings
from hexpipe.config.presets import QUICK_GROWN
from hexpipe.config.settings import Settings

GROWN = {
    "curriculum.stage_games": 1000,
    "selfplay.focus_share": 0.1,
    "learner.focus_weight": 1.0,
}
"""Settings of boards that grow by themselves, beside those that depend on the game: a stage lasts until most of its
games are won by a row, and where to look is learned soon, from views that mostly go to the mover's own stones."""

_LEAST_VIEW = 9
_LEAST_LENGTH = 4  # three in a row is won by whoever moves first: nothing can be learned from it
_ROOM = 3  # cells of a view beside a row that wins
_OVERLAP = 1.2  # a view's side for each side of a bucket of the thumbnail, so that views leave no cell out
_PLIES_A_STONE = 12  # a game of self-play is cut after so many plies for each stone of a row
_OPENING_STONES = 3  # of each seat at the most, wherever chance has it: seats begin apart, and look for their own


def new_run_settings(preset: str, overrides: Mapping[str, Any] | None = None) -> Settings:
    """The settings of a new run: `load_settings`, with growing boards where n in a row has a board above 21x21.

    Stages, the step cap and the openings of self-play, and `GROWN`, are set beside the preset, in the preset quick also
    `QUICK_GROWN`. Whatever ``overrides`` name stays as it is, so that ``curriculum.stages`` of [] begins on the large
    board. A run that searches old games anew, which knows one board alone, does not grow. SettingsError as from
    `load_settings`.
    """
    given = dict(overrides or {})
    settings = load_settings(preset, given)
    game = settings.game
    if game.name != "inarow" or game.board_size <= DEFAULT_VIEW_SIZE:
        return settings
    if settings.curriculum.stages or "curriculum.stages" in given or settings.reanalyze.ratio:
        return settings
    view = game.view_size or view_size_for(game.inarow_rules())
    grown = {
        "game.view_size": view,
        "curriculum.stages": growing_stages(game.inarow_rules(), view),
        "selfplay.max_game_plies": _PLIES_A_STONE * game.row_length,
        "selfplay.opening_random_plies": _OPENING_STONES * game.players,
        **GROWN,
        **(QUICK_GROWN if preset == "quick" else {}),
    }
    return load_settings(preset, {**grown, **given})


def growing_stages(rules: InARowRules, view: int) -> tuple[tuple[int, int], ...]:
    """Board size and win length of the stages up to ``rules``: the view of ``view`` cells a side as a board, the
    geometric mean, the board itself, with rows of a half and of five eighths of the length, but of 4 at the least."""
    n, length = rules.board_size, rules.win_length
    lengths = [min(length, max(_LEAST_LENGTH, math.ceil(length * share))) for share in (0.5, 0.625)]
    return ((view, min(view, lengths[0])), (round(math.sqrt(view * n)), lengths[1]), (n, length))


def view_size_for(rules: InARowRules) -> int:
    """Cells along a side of a view, odd, that shows a row with some room and reaches the next place to look; 21 at the
    most."""
    wanted = max(_LEAST_VIEW, rules.win_length + _ROOM, math.ceil(math.sqrt(_OVERLAP * rules.board_size)))
    return min(wanted + (wanted % 2 == 0), DEFAULT_VIEW_SIZE)
