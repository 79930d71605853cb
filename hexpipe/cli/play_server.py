"""`hexpipe play-server`: a net as a player at a server of Hex games."""

from __future__ import annotations

import json
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.progress import Progress, TextColumn

from hexpipe.cli._hex_nets import checkpoint_or_box, engine_on, rules_of
from hexpipe.cli._options import ANY_PATH, best_device, number_option
from hexpipe.cli._progress import progress_bar
from hexpipe.cli._tables import make_table, print_table
from hexpipe.errors import SettingsError, install_command
from hexpipe.wording import counted

if TYPE_CHECKING:
    from hexpipe.play_server.client import GameResult

_NAME = 'What the server calls the net\'s owner; default: nothing, it is "hexpipe" alone.'
_GAMES = "Games to play, each counted when it begins; 0: until it is stopped."
_SERIES = "Games of a match at the most, of which more than half win it: odd. Opponents must want as many."
_SIMULATIONS = "For a move; default: the run's, or by time."
_RESULTS = ("won", "lost", "unfinished")
_EDGES = {"red": "left to right", "blue": "top to bottom"}


@click.command(
    epilog="""\b
Examples:
  hexpipe play-server ws://127.0.0.1:8000 --size 7
  hexpipe play-server ws://127.0.0.1:8000 runs/mine --size 11 --games 0 --seconds 5 --name "Net of mine"
  hexpipe play-server wss://hex.example runs/mine --games 20 --simulations 400 --json""",
)
@click.argument("server", metavar="URL")
@click.argument("checkpoint", required=False, type=ANY_PATH, metavar="[CHECKPOINT|RUN]")
@click.option("--size", type=int, metavar="N", help="Cells along a side; default: the net's. Servers have few sizes.")
@click.option("--name", default="", metavar="NAME", help=_NAME)
@number_option("--games", _GAMES, click.IntRange(0), 1)
@number_option("--series", _SERIES, click.IntRange(1, 99), 1)
@number_option("--seconds", "Time for a move at the most.", click.FloatRange(0, min_open=True), metavar="S")
@number_option("--simulations", _SIMULATIONS, click.IntRange(2))
@click.option("--device", metavar="NAME", help="cpu, cuda:0, ...; default: a GPU where there is one.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line as each game ends, and nothing else.")
def command(
    server: str,
    checkpoint: Path | None,
    size: int | None,
    name: str,
    games: int,
    series: int,
    seconds: float | None,
    simulations: int | None,
    device: str | None,
    as_json: bool,
) -> None:
    """Play Hex at a server of the package hexgame-server, against whoever is there.

    The net serves boards of any size; without a checkpoint the net in the box plays. Where the connection is lost the
    match is taken up again, for as long as the server keeps the place. Ctrl-C resigns the game under way and ends.
    """
    from hexpipe.arena.thinker import NetThinker

    try:
        from hexpipe.play_server.client import play_games
    except ImportError as error:
        raise SettingsError(
            f"hexpipe play-server needs {error.name}: {install_command('websockets')}", kind="missing"
        ) from error
    from hexpipe.play_server.protocol import server_address

    address = server_address(server)
    net = checkpoint_or_box(checkpoint)
    rules = rules_of(net, "a server of Hex games")
    thinker = NetThinker(partial(engine_on, net, device or best_device()), simulations, seconds)
    with progress_bar(TextColumn("{task.fields[state]}"), hidden=as_json) as bar:
        view = _View(bar, games, as_json)
        try:
            play_games(
                address, thinker, view, size=rules.board_size if size is None else size, games=games, series=series,
                name=name,
            )  # fmt: skip
        finally:
            bar.stop()
            if not as_json and view.results:
                view.print_results()


class _View:
    """Shows how the games go: what they are doing by ``bar``, each result by a line."""

    def __init__(self, bar: Progress, games: int, as_json: bool) -> None:
        self._bar, self._as_json, self._played = bar, as_json, 0
        self._task = bar.add_task("games", total=games or None, state="the net is being loaded and timed")
        self.results: Counter[tuple[str, str]] = Counter()

    def note(self, line: str) -> None:
        """Say ``line`` on standard error."""
        self._bar.console.print(line, markup=False, emoji=False, highlight=False, soft_wrap=True)

    def goes_on(self, state: str) -> None:
        """Show ``state`` beside the bar."""
        self._bar.update(self._task, state=state)

    def ended(self, result: GameResult) -> None:
        """Say how a game ended."""
        self._played += 1
        self.results[result.side, result.result] += 1
        self._bar.update(self._task, completed=self._played)
        if self._as_json:
            facts: dict[str, Any] = {"game": self._played, **result._asdict()}
            click.echo(json.dumps(facts))
            return
        begins = "first" if result.first else "second"
        after = f"after {counted(len(result.moves), 'move')} against {result.opponent or 'somebody'} ({result.reason})"
        self.note(f"game {self._played}: {result.result} as {result.side}, {begins}, {after}")

    def print_results(self) -> None:
        """Print how many games were won, by side."""
        table = make_table("Results", ["side"], ["games", *_RESULTS])
        for side, edges in _EDGES.items():
            counts = [self.results[side, result] for result in _RESULTS]
            table.add_row(f"{side}, {edges}", str(sum(counts)), *map(str, counts))
        print_table(table)
