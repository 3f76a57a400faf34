"""`cyclegan info`, `import` and `export`: model files."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.terminal import printable
from engine.words import counted

if TYPE_CHECKING:
    from engine.conversion.model_file import ModelInfo
from engine.cli.output import OK, print_json


def add_commands(commands: Any) -> None:
    """Add them to the parser of the headless command."""
    for add in (_add_info, _add_import, _add_export):
        add(commands)


def _add_info(commands: Any) -> None:
    parser = commands.add_parser("info", help="tell the story of a model")
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model file, or the folder of a training")
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    parser.set_defaults(run_command=_run_info)


def _add_import(commands: Any) -> None:
    parser = commands.add_parser(
        "import",
        help="make a model of .pth files of the authors' PyTorch implementation",
        description="Make a model of files such as latest_net_G_A.pth (from A to B), latest_net_G_B.pth (from B to A), "
        "and perhaps latest_net_D_A.pth and latest_net_D_B.pth. One generator alone is a model of one direction. "
        "Without such names the first generator is taken for A to B, a second one for B to A.",
    )
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="a .pth file, in any order")
    parser.add_argument("--names", nargs=2, required=True, metavar=("NAME_A", "NAME_B"), help="what the two domains "
                        "are called")  # fmt: skip
    parser.add_argument("--to", type=Path, required=True, metavar="MODEL", help="the model file (.safetensors); never "
                        "overwritten")  # fmt: skip
    parser.add_argument("--size", type=int, metavar="PX", default=256, help="side of the square crops it was trained "
                        "on, in pixels, which the files do not say (256)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the story of the model as JSON")
    parser.set_defaults(run_command=_run_import)


def _add_export(commands: Any) -> None:
    parser = commands.add_parser("export", help="write a model for other programs")
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model file, or the folder of a training")
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("--pth", type=Path, metavar="DIR", help="latest_net_G_A.pth and so on in DIR, as the authors' "
                      "PyTorch implementation reads them")  # fmt: skip
    kind.add_argument("--onnx", type=Path, metavar="FILE|DIR", help="FILE.onnx of a model of one direction, else "
                      "FILE_a2b.onnx and FILE_b2a.onnx; in DIR they are called after the model")  # fmt: skip
    kind.add_argument("--card", type=Path, metavar="FILE", help="everything known about the model, as JSON")
    parser.add_argument("--json", action="store_true", help="print the files written as JSON")
    parser.set_defaults(run_command=_run_export)


def _run_info(options: argparse.Namespace) -> int:
    from engine.conversion.model_file import read_model_info

    return _tell(read_model_info(options.model), as_json=options.json)


def _run_import(options: argparse.Namespace) -> int:
    from engine.conversion.exchange import import_model

    info = import_model(options.files, names=tuple(options.names), to=options.to, size=options.size)
    return _tell(info, as_json=options.json)


def _run_export(options: argparse.Namespace) -> int:
    from engine.conversion.exchange import export_card, export_onnx, export_pth

    if options.pth is not None:
        written = export_pth(options.model, options.pth)
    elif options.onnx is not None:
        written = export_onnx(options.model, options.onnx)
    else:
        written = (export_card(options.model, options.card),)
    if options.json:
        print(json.dumps({"event": "Exported", "files": [str(path) for path in written]}))
        return OK
    for path in written:
        print(printable(str(path)))
    return OK


def _tell(info: ModelInfo, *, as_json: bool) -> int:
    """Print the story of a model."""
    from engine.conversion.model_file import architecture_words, moment_name

    if as_json:
        print_json(info)
        return OK
    story = f"{info.size} px, preset {info.preset}, {info.steps:,} steps, {info.date}"
    if not info.steps:  # An import, whose size is what its user has said.
        story = f"{info.size} px, steps not known; imported on {info.date}"
    moment = moment_name(info.path)
    lines = {
        "model": str(info.path),
        **({} if moment is None else {"moment": f"{moment} (step {info.steps:,})"}),
        "directions": ", ".join(f"{direction} {info.direction_name(direction)}" for direction in info.directions),
        "trained at": story,
        "generators": architecture_words(info.architecture),
        "format": f"version {info.format_version}",
        "licence": info.licence or "not stated",
        "note": info.note or "none",
    }
    if info.discriminators is not None:
        parts = info.discriminators
        layers = f", {counted(parts.layers, 'layer')}" if parts.kind == "patch" else ""
        lines["discriminators"] = f"{parts.kind}{layers}, {counted(parts.channels, 'channel')}"
    for name, text in lines.items():
        print(f"{name + ':':<16}{printable(text)}")
    return OK
