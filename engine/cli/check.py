"""`cyclegan check`: the doctor."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, assert_never

from engine import preset_config
from engine.cli.output import NOTHING_DONE, OK, SOME_FAILED, STOPPED, Progress, Stop, print_json
from engine.cli.settings import training_folders
from engine.errors import DataError
from engine.events import (
    CheckEvent,
    Examined,
    Finding,
    Preparing,
)
from engine.terminal import printable
from engine.words import counted


def add_commands(commands: Any) -> None:
    """Add it to the parser of the headless command."""
    parser = commands.add_parser(
        "check",
        help="look for what is wrong with the pictures before training on them",
        usage="cyclegan check A B [option ...]\n       cyclegan check ROOT [option ...]",
        description="Looks at every picture and says what a training would suffer from: damaged files, duplicates "
        "within and across the two folders, pictures that are tiny, flat, grey or of odd shapes, too few or too "
        "different numbers of them, sides that hardly differ. Nothing is changed. The exit status is 0 where nothing "
        "was found, 1 where something was, 2 where no training can begin.",
    )
    parser.add_argument("folders", type=Path, nargs="+", metavar="A B | ROOT", help="two folders of pictures, or one "
                        "that holds trainA and trainB")  # fmt: skip
    parser.add_argument("--names", nargs=2, metavar=("NAME_A", "NAME_B"), help="what the two domains are called")
    parser.add_argument("--preset", metavar="NAME|FILE", help="the preset that the pictures are for")
    parser.add_argument("--size", type=int, metavar="PX", help="the picture size that they are for")
    parser.add_argument("--leave-out-list", type=Path, metavar="FILE", help="write the files that are better left out "
                        "into FILE, one a line, for cyclegan train --leave-out FILE")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one event a line on standard output")
    parser.set_defaults(run_command=_run_check)


def _run_check(options: argparse.Namespace) -> int:
    from engine.data.doctor import examine
    from engine.presets import default_presets_folder, preset_named

    folders = training_folders(options.folders)
    folder_A, folder_B = (Path(folders[field] or "").absolute() for field in ("folder_A", "folder_B"))
    names = options.names or [folder_A.name or "A", folder_B.name or "B"]
    config = None
    if options.preset or options.size:
        given = {} if options.size is None else {"size": options.size}
        # No training is made, so it may be anywhere.
        preset = preset_named(options.preset or "standard", default_presets_folder())
        config = preset_config(preset, **{**folders, "run": Path("run"), **given})
    events = examine(folder_A, folder_B, name_A=names[0], name_B=names[1], config=config)
    return _CheckProgress(options.leave_out_list, as_json=options.json).follow(events)


class _CheckProgress(Progress):
    """Progress on stderr; what was found on stdout, every file by its name."""

    def __init__(self, leave_out_list: Path | None, *, as_json: bool) -> None:
        super().__init__(as_json=as_json)
        self._list = leave_out_list
        self._findings: list[Finding] = []
        self._phase = ""

    def follow(self, events: Iterator[CheckEvent]) -> int:
        with Stop() as stop:
            try:
                for event in events:
                    if self._as_json:
                        print_json(event)
                    self._show(event)
                    if stop.asked:
                        self.close_bar()
                        events.close()  # type: ignore[attr-defined]
                        self.say("Stopped.")
                        return STOPPED
            finally:
                self.close_bar()
        self._write_list()
        if any(finding.severity == "stop" for finding in self._findings):
            return NOTHING_DONE
        return SOME_FAILED if self._findings else OK

    def _show(self, event: CheckEvent) -> None:
        match event:
            case Preparing():
                if event.text != self._phase:
                    self.close_bar()
                    self._phase = event.text
                    if event.total:
                        self.open_bar(event.total, 0, "")
                self.advance_to(event.done, event.text)
            case Finding():
                self.close_bar()
                self._findings.append(event)
                if not self._as_json:
                    _print_finding(event)
            case Examined():
                self.close_bar()
                if not self._as_json:
                    print(_examined_words(event))
            case _:
                assert_never(event)

    def _write_list(self) -> None:
        left_out = list(dict.fromkeys(path for finding in self._findings for path in finding.leave_out))
        if self._list is None:
            if left_out and not self._as_json:
                self.say(f"{counted(len(left_out), 'picture')} had better be left out: add --leave-out-list FILE.")
            return
        from engine.files import disk_sentence, write_atomically

        # A name with a line break cannot stand on a line.
        lines = [os.fsencode(path) for path in left_out if len(os.fsencode(path).splitlines()) == 1]
        try:
            write_atomically(self._list, b"".join(line + b"\n" for line in lines))
        except OSError as error:
            raise DataError(disk_sentence(error, self._list)) from error
        self.say(f"{self._list} names {counted(len(lines), 'picture')} to leave out.")


_SEVERITY_WORDS = {"stop": "NOT TRAINABLE", "warning": "WARNING", "note": "note"}


def _print_finding(finding: Finding) -> None:
    """The sentence, and every file: of groups the one to keep first, then its copies."""
    print(f"{_SEVERITY_WORDS[finding.severity]}: {printable(finding.sentence)}")
    reasons = dict(zip(finding.files, finding.reasons, strict=False))
    copies = {path for group in finding.groups for path in group[1:]}
    for path in finding.files:
        reason = f"  ({printable(reasons[path])})" if path in reasons else ""
        print(f"    {'  = ' if path in copies else ''}{printable(str(path))}{reason}")


def _examined_words(event: Examined) -> str:
    count = counted(event.count_A + event.count_B, "picture")
    found = counted(event.findings, "finding") if event.findings else "nothing to complain about"
    return f"Examined {count} in {event.seconds:.1f} s: {found}."
