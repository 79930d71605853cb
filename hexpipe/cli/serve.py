"""`hexpipe serve`: play a net and watch a run in a browser."""

from __future__ import annotations

from pathlib import Path

import click

from hexpipe.cli._options import ANY_PATH, number_option
from hexpipe.cli._run_options import own_game_option
from hexpipe.errors import SettingsError, install_command

_ALLOW_HOST = "Another name that the server is asked by, as of a proxy before it; again for more."


@click.command(
    epilog="""\b
Examples:
  hexpipe serve                       the newest run in runs/; where there is none, the net in the box
  hexpipe serve runs/mine --port 8080
  hexpipe serve runs/mine/checkpoints/step-00001234""",
)
@click.argument("path", required=False, type=ANY_PATH, metavar="[RUN|CHECKPOINT]")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address; 0.0.0.0 lets other machines in.")
@click.option("--allow-host", multiple=True, metavar="NAME", help=_ALLOW_HOST)
@number_option("--port", "Port; 0: any free one.", click.IntRange(0, 65535), 8000, None)
@click.option("--size", type=int, metavar="N", help="Cells along a side; default: the checkpoint's.")
@click.option("--swap/--no-swap", default=None, help="The swap rule; default: the checkpoint's.")
@click.option("--device", default="cpu", show_default=True, metavar="NAME", help="cpu, cuda:0, ...")
@number_option("--most-simulations", "Cap of what a visitor may ask.", click.IntRange(2), 5000, None)
@number_option("--most-waiting", "Searches that may wait; then 503.", click.IntRange(1), 64, None)
@own_game_option
def command(
    path: Path | None,
    host: str,
    allow_host: tuple[str, ...],
    port: int,
    size: int | None,
    swap: bool | None,
    device: str,
    **limits: int,
) -> None:
    """Serve a page to play against a net and, of a run, a page to watch it. The API is described at /api."""
    from hexpipe.nets.box import BOX, net_in_words
    from hexpipe.nets.checkpoints import latest_checkpoint
    from hexpipe.processes.output import may_go_away
    from hexpipe.run_folder import find_runs

    if path is None:
        path = next(iter(find_runs(Path("runs"))), BOX)
    run = path if (path / "settings.json").exists() and (path / "lock").exists() else None
    try:
        from hexpipe.web.hosts import hosts_of
        from hexpipe.web.listening import link_host, open_listener, serve
        from hexpipe.web.server import make_app
    except ImportError as error:
        raise SettingsError(
            f"hexpipe serve needs {error.name}: {install_command('fastapi', 'uvicorn', 'websockets')}", kind="missing"
        ) from error
    from hexpipe.arena.engine import Engine

    hosts = hosts_of(host, allow_host)
    with open_listener(host, port) as listener, may_go_away("stdout", "stderr"):
        engine, net = None, ""
        if run is None or latest_checkpoint(run) is not None:
            engine = Engine(path, board_size=size, swap=swap, device=device)
            net = f" plays {net_in_words(engine.checkpoint)}"
        else:
            click.echo("the run has no checkpoint yet: there is only its page to watch")
        app = make_app(engine, run, hosts=hosts, **limits)
        click.echo(f"hexpipe serve: http://{link_host(host)}:{listener.getsockname()[1]}/{net} (Ctrl-C ends it)")
        serve(app, listener)
