"""`hexpipe export`: a net for programs without hexpipe."""

from __future__ import annotations

import json
from pathlib import Path

import click

from hexpipe.cli._options import ANY_PATH, FILE


@click.command()
@click.argument("checkpoint", type=ANY_PATH, metavar="CHECKPOINT|RUN")
@click.argument("file", required=False, type=FILE)
@click.option("--format", "form", type=click.Choice(["onnx"]), default="onnx", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(checkpoint: Path, file: Path | None, form: str, as_json: bool) -> None:
    """Write the playing net of CHECKPOINT to FILE (default: net.onnx), checked against torch.

    Input: codes int8 [batch, C]; outputs: priors [batch, A] and values [batch, S] for the side to move.

    The file is float32. OpenVINO runs it in bfloat16 by default on CPUs with units for that, and then differs by up to
    some hundredths: compile it with INFERENCE_PRECISION_HINT=f32 for these answers.
    """
    from hexpipe.nets.checkpoints import load_checkpoint
    from hexpipe.nets.export import export_onnx

    loaded = load_checkpoint(checkpoint, groups=("model", "ema"))
    path = file or Path(f"net.{form}")
    difference = export_onnx(loaded, path)
    facts = {"file": str(path), "bytes": path.stat().st_size, "step": loaded.step, "largest_difference": difference}
    text = f"{path}: {facts['bytes']:,} bytes; at most {difference:.1e} from torch's answers"
    click.echo(json.dumps(facts) if as_json else text)
