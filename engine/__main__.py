"""The headless command: everything the app can do, on a server. Also installed as `cyclegan`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from engine import __version__
from engine.cli import check, convert, estimate, film, models, settings, train, upkeep
from engine.cli.output import NOTHING_DONE, STOPPED, complain, lead_output_nowhere, with_flag
from engine.data.workers import serve_if_asked
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        0 all done; 1 some or all files failed, or a training failed, or something was found in pictures that were
        checked; 2 wrong usage, or nothing could be done, or no training can begin with them; 130 stopped by Ctrl-C,
        SIGTERM or the end of a pipe, saved and resumable.
    """
    serve_if_asked()
    options = _parser().parse_args(arguments)
    try:
        return int(options.run_command(options))
    except EngineError as error:
        # Of several processes all have been given the same arguments.
        if rank_and_count()[0] == 0:
            flags = convert.CONVERT_FLAGS if options.run_command is convert.run_convert else settings.TRAIN_FLAGS
            complain(with_flag(error, flags), as_json=getattr(options, "json", False))
        return NOTHING_DONE
    except KeyboardInterrupt:
        return STOPPED
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


if __name__ == "__main__":
    sys.exit(main())
