"""The headless command with all its parts; `engine.__main__` calls it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from engine import __version__
from engine.cli import check, convert, estimate, film, models, settings, train, upkeep
from engine.cli.output import NOTHING_DONE, STOPPED, complain, lead_output_nowhere, with_flag
from engine.errors import EngineError
from engine.ranks import rank_and_count

_MORE_HELP = """\
examples:
  cyclegan train apples oranges --run my-training --names Apples Oranges --preset quick
  cyclegan train apple2orange --run my-training       (a folder holding trainA and trainB)
  cyclegan train --resume my-training --max-steps 5000
  cyclegan train --resume my-training --more-epochs 50 --learning-rate 0.0001
  cyclegan estimate apples oranges --preset standard
  cyclegan check apples oranges --leave-out-list bad.txt
  cyclegan convert my-training holiday-pictures --to converted --direction a2b
  cyclegan convert my-training scans --to converted --direction b2a --format tiff --report what-happened
  cyclegan film my-training --star 5000 --to film.webp
  cyclegan info my-training
  cyclegan import latest_net_G_A.pth latest_net_G_B.pth --names Horses Zebras --to horses.safetensors
  cyclegan export my-training --onnx exported
"""


def run(arguments: Sequence[str] | None) -> int:
    """Do what the command line asks for; the exit code, as of `engine.__main__.main`.

    Raises:
        KeyboardInterrupt: Ctrl-C, where the command does not listen to it.
    """
    options = _parser().parse_args(arguments)
    try:
        return int(options.run_command(options))
    except EngineError as error:
        # Of several processes all have been given the same arguments.
        if rank_and_count()[0] == 0:
            flags = convert.CONVERT_FLAGS if options.run_command is convert.run_convert else settings.TRAIN_FLAGS
            complain(with_flag(error, flags), as_json=getattr(options, "json", False))
        return NOTHING_DONE
    except BrokenPipeError:
        lead_output_nowhere()
        return STOPPED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cyclegan",
        description="Train a CycleGAN on two folders of pictures, and convert whole folders in either direction.",
        epilog=_MORE_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"cyclegan {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in (check, train, estimate, convert, models, upkeep, film):
        module.add_commands(commands)
    return parser
