"""The command `cyclegan-desktop`. Nothing is loaded that the answer does not need."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator


def main(arguments: list[str] | None = None) -> int:
    """Open the app, or run the demonstration.

    Args:
        arguments: The command line without the program's name; None takes that of the process.

    Returns:
        The exit code: 0 after a normal end, 2 if the arguments make no sense. Where no window can be opened, the
        process ends with 2 after an advice.
    """
    if sys.argv[1:]:
        from engine.data.workers import serve_if_asked

        # A frozen app is its own worker process: such a call ends here, before anything is loaded for a window.
        serve_if_asked()
    from cyclegan_desktop.preload import leave

    _give_streams()
    given = sys.argv[1:] if arguments is None else arguments
    paths: list[Path] = []
    if given:
        from cyclegan_desktop.qt_probe import PROBE_ARGUMENT, start_qt

        if given == [PROBE_ARGUMENT]:
            start_qt()
            return 0
        options = _parser().parse_args(given)
        if options.demo:
            from cyclegan_desktop.demo import run_demo

            return leave(run_demo())
        paths = [path.absolute() for path in options.paths]
    with _interruptible():
        from cyclegan_desktop.qt_probe import import_qt

        import_qt()
        from cyclegan_desktop.start import run

        code = run(paths)
    return leave(code)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Until the window closes on Ctrl-C by itself, it ends the process at once: nothing is there yet to be saved.

    Python would raise an exception amid Qt's own code instead: Qt takes it for a crash, or loses it, and the window
    stays for good without anything in it.
    """
    old = signal.getsignal(signal.SIGINT)
    if old is not signal.default_int_handler:
        # Whoever started this process has it ignored, or whoever calls has other ideas.
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, old)


def _give_streams() -> None:
    """A Windows app has no console and so no streams, and whoever writes to them would fail."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115


def _parser() -> argparse.ArgumentParser:
    import argparse

    from engine import __version__

    parser = argparse.ArgumentParser(
        prog="cyclegan-desktop",
        description="Train a CycleGAN on two folders of pictures, then convert whole folders in either direction.",
        epilog="Without a screen, the command cyclegan does the same work.",
    )
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="pictures, folders or a model to open")
    parser.add_argument("--demo", action="store_true", help="train and convert the sample that comes with the app")
    parser.add_argument("--version", action="version", version=f"cyclegan-desktop {__version__}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
