"""What all commands have in common: exit codes, a bar or JSON, how a stop is asked for, how a failure is told."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from engine.errors import EngineError
from engine.ranks import rank_and_count
from engine.remedies import Remedy
from engine.terminal import printable

OK, SOME_FAILED, NOTHING_DONE, STOPPED = 0, 1, 2, 130


class Stop:
    """Ctrl-C and SIGTERM ask once for a stop between two steps; a second one ends the process as it always does.

    Not so in one of several processes: at Ctrl-C each gets a signal from the terminal and two more from torchrun, which
    sends SIGKILL to those that take too long. Of processes that train together the first one obeys, and the others
    end when it tells them to.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Stop:
        for number in (signal.SIGINT, signal.SIGTERM):
            # Only the main thread may set handlers.
            with contextlib.suppress(ValueError):
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        if rank_and_count()[1] > 1:
            return
        for each, handler in self._before.items():
            signal.signal(each, handler)


class Progress:
    """Shows events on stderr as a bar, or on stdout as JSON, until the work ends or a stop is asked for."""

    def __init__(self, *, as_json: bool, has_bar: bool = True) -> None:
        from tqdm import tqdm

        self._as_json = as_json
        self._has_bar = not as_json and has_bar
        self._tqdm = tqdm
        self._bar: tqdm[NoReturn] | None = None

    def say(self, text: str) -> None:
        """A line on stderr, above the bar."""
        self._tqdm.write(printable(text), file=sys.stderr)

    def open_bar(self, total: int, done: int, unit: str) -> None:
        """Begin a bar."""
        self._bar = self._tqdm(
            total=total, initial=done, unit=unit, disable=not self._has_bar, file=sys.stderr, dynamic_ncols=True
        )

    def advance_to(self, done: int, text: str = "") -> None:
        """So much is done."""
        if self._bar is not None:
            if text:
                self._bar.set_postfix_str(text, refresh=False)
            self._bar.update(done - self._bar.n)

    def raise_total(self, total: int) -> None:
        """There is more to do than it seemed."""
        if self._bar is not None:
            self._bar.total = total
            self._bar.refresh()

    def close_bar(self) -> None:
        """Take it away, if there is one."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def with_flag(error: EngineError, flags: dict[str, str]) -> str:
    """The sentence, and the flag of the option that it is about unless it names one."""
    flag = flags.get(getattr(error, "field", ""))
    return str(error) if flag is None or "--" in str(error) else f"{error} (The option is {flag}.)"


def complain(text: str, *, as_json: bool, is_cause: bool = True, remedies: tuple[Remedy, ...] = ()) -> None:
    """Say that the work has failed, on stderr and, where JSON is asked for, on stdout too."""
    if as_json:
        print_line({"event": "Failed", "message": text, "is_cause": is_cause, "remedies": plain(remedies)})
    # In one piece, too.
    sys.stderr.write(f"cyclegan: {printable(text)}\n")
    sys.stderr.flush()


def lead_output_nowhere() -> None:
    """Its reader has gone, so nothing more can be said, at the end of the process neither."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_json(event: Any) -> None:
    """One event as one line; pictures are left out, their files are named."""
    print_line({"event": type(event).__name__, **plain(event)})


def print_line(values: dict[str, Any]) -> None:
    """A line of JSON on stdout."""
    # In one piece: several processes may share an output, and torchrun runs them unbuffered.
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def plain(value: Any) -> Any:
    """What JSON can hold of it: no pictures, and paths as text."""
    if dataclasses.is_dataclass(value):
        pairs = ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
        return {name: plain(item) for name, item in pairs if not hasattr(item, "dtype")}
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
