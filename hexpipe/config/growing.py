"""What a new run does unless told otherwise, by its game: proofs, misjudged positions and fast searches in Hex, and
boards that grow.

A board may be too large to start on, and then grows within the run.

On a board of 100x100 an untrained net plays thousands of plies before the first game of n in a row ends, so that for
long there is nothing to learn from. The same rules on small boards and with shorter rows end in dozens of plies, and
one net plays all boards through one view.

What a net learns on a small board of Hex holds on larger ones (Gao, Mueller, Hayward, "Move prediction using deep
convolutional neural networks in Hex", IEEE Transactions on Games 10, 2018), where games are longer and each evaluation
costs more. All boards have one net; a stage is a leg of the run (`Settings.at_stage`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from hexpipe.config.inarow_options import DEFAULT_VIEW_SIZE, InARowRules
from hexpipe.config.loading import load_settings
from hexpipe.config.presets import QUICK_GROWN
from hexpipe.config.settings import Settings
from hexpipe.errors import SettingsError

GROWN = {
    "curriculum.stage_games": 1000,
    "selfplay.focus_share": 0.1,
    "learner.focus_weight": 1.0,
}
"""Settings of automatic growing boards, except those that depend on the game.

A stage lasts until most of its games are won by a row, and the net soon learns where to look, from views that mostly go
to the mover's own stones.
"""

HEX_PROOFS = {"search.leaf_proofs": 1, "selfplay.stop_when_proven": 0.75}
"""Settings of what proofs tell in a new run of Hex with true rules: what bridges show needs no net, and a game that is
decided no more moves. Some games are played out, or the net alone would know no end of one."""

REVISITS = {"selfplay.revisit_share": 0.3}
"""Settings of such a run: many games begin where an earlier one was misjudged."""

FAST = {"selfplay.fast_share": 0.75}
"""Settings of such a run whose searches are several times as long as a fast one: most moves are searched fast, for
more games, and their outcomes."""

_TIMES_AS_LONG = 4

HEX_GROWN = {"curriculum.stage_games": 1000, "curriculum.solved": 0.75, "curriculum.kept_games": 2000}
"""Settings of automatic growing boards of Hex, except the stages."""

_FIRST_HEX = 5
_HEX_STEP = 2
_LEAST_VIEW = 9
_LEAST_LENGTH = 4  # three in a row is won by the first player: nothing to learn
_ROOM = 3  # cells of a view beside a row that wins
_OVERLAP = 1.2  # a view's side for each side of a bucket of the thumbnail, so that views cover all cells
_PLIES_A_STONE = 12  # a game of self-play is cut after so many plies for each stone of a row
_OPENING_STONES = 3  # at most, for each seat; on random cells: seats begin apart, and look for their own


def new_run_settings(preset: str, overrides: Mapping[str, Any] | None = None, trained: bool = False) -> Settings:
    """Return the settings of a new run: `load_settings`, with `HEX_PROOFS`, `REVISITS` and `FAST` in Hex, and growing
    boards where Hex has a board above 5x5 or n in a row one above 21x21.

    Hex grows on boards of 5, 7, 9, ... cells a side, by `HEX_GROWN`. For n in a row stages, the step cap and the
    openings of self-play, and `GROWN`, are set beside the preset, in the preset quick also `QUICK_GROWN`. Settings in
    ``overrides`` take precedence, so that ``curriculum.stages`` of [] begins on the large board. A run with reanalysis,
    which supports only one board, does not grow; nor does renju, whose boards are seen whole, nor a run of Hex that
    plays nothing, or starts with a ``trained`` net. SettingsError as from `load_settings`.
    """
    given = dict(overrides or {})
    settings = load_settings(preset, given)
    if settings.game.name == "hex" and settings.algorithm == "alphazero":
        simulations = settings.search.phase_simulations or (settings.search.num_simulations,)
        fast = FAST if min(simulations) >= _TIMES_AS_LONG * settings.selfplay.fast_simulations else {}
        given = {**HEX_PROOFS, **REVISITS, **fast, **given}
        settings = load_settings(preset, given)
    game = settings.game
    if settings.curriculum.stages or "curriculum.stages" in given or settings.reanalyze.ratio:
        _check_last_stage(settings)
        return settings
    if game.name == "hex" and game.board_size > _FIRST_HEX and settings.plays and not trained:
        sizes = (*range(_FIRST_HEX, game.board_size, _HEX_STEP), game.board_size)
        return load_settings(preset, {"curriculum.stages": sizes, **HEX_GROWN, **given})
    if game.name != "inarow" or game.board_size <= DEFAULT_VIEW_SIZE or game.row_rule == "renju":
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


def _check_last_stage(settings: Settings) -> None:
    """Raise SettingsError unless the game is that of the last stage."""
    last, size = settings.stages[-1].board_size, settings.game.board_size
    if last != size:
        words = f"curriculum.stages end with {last}x{last}, the game has {size}x{size}: make them the same"
        raise SettingsError(words, kind="conflict", setting="curriculum.stages")


def growing_stages(rules: InARowRules, view: int) -> tuple[tuple[int, int], ...]:
    """Return board size and win length of the stages up to ``rules``.

    The boards are the view, ``view`` cells a side, the geometric mean, and the board itself; the rows of the first two
    have a half and five eighths of the length, but at least 4.
    """
    n, length = rules.board_size, rules.win_length
    lengths = [min(length, max(_LEAST_LENGTH, math.ceil(length * share))) for share in (0.5, 0.625)]
    return ((view, min(view, lengths[0])), (round(math.sqrt(view * n)), lengths[1]), (n, length))


def view_size_for(rules: InARowRules) -> int:
    """Return the side of a view in cells, odd, that shows a row with some room and reaches the next place to look.

    It is 21 at most.
    """
    wanted = max(_LEAST_VIEW, rules.win_length + _ROOM, math.ceil(math.sqrt(_OVERLAP * rules.board_size)))
    return min(wanted + (wanted % 2 == 0), DEFAULT_VIEW_SIZE)
