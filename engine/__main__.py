"""The headless command: everything the app can do, on a server. Also installed as `cyclegan`."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        0 all done; 1 some or all files failed, or a training failed, or something was found in pictures that were
        checked; 2 wrong usage, or nothing could be done, or no training can begin with them; 130 stopped by Ctrl-C,
        SIGTERM or the end of a pipe, saved and resumable.
    """
    # Imported here: it takes half a second, in which Ctrl-C is to end the command without a traceback, too.
    try:
        from engine.data.workers import serve_if_asked

        serve_if_asked()
        from engine.cli.command import run

        return run(arguments)
    except KeyboardInterrupt:
        return 130  # STOPPED of engine.cli.output, which may not be there yet.


if __name__ == "__main__":
    sys.exit(main())
