"""The commands that look after trainings on disk: `cyclegan runs`, `cyclegan describe` and `cyclegan clean`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from engine.errors import RunError
from engine.terminal import say
from engine.training.run import RunSummary, read_run_summary, runs_in
from engine.training.upkeep import About, CleanKind, clean_up, cleanable, disk_use, read_about, write_about
from engine.words import bytes_words, counted, duration_words


def add_commands(commands: Any) -> None:
    """Add them to the parser of the headless command."""
    parser = commands.add_parser("runs", help="list trainings")
    parser.add_argument("folders", type=Path, nargs="+", metavar="DIR", help="a run, or a folder of runs")
    parser.add_argument("--json", action="store_true", help="print one training a line as JSON")
    parser.set_defaults(run_command=_run_runs)
    parser = commands.add_parser("describe", help="name a training, or write a note about it")
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder of a training")
    parser.add_argument("--name", help='what it is called; "" for the names of its domains')
    parser.add_argument("--note", help="anything")
    parser.set_defaults(run_command=_run_describe)
    parser = commands.add_parser(
        "clean",
        help="delete what a training does not need to go on or to convert",
        description="Deletes all checkpoints but the newest, and what saves that were cut off have left behind. The "
        "models, what is starred, and the newest of everything always stay.",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder of a training that is not at work")
    parser.add_argument("--moments", action="store_true", help="also the models of moments without a star")
    parser.add_argument("--samples", action="store_true", help="also the samples of moments without a star")
    parser.add_argument("--dry-run", action="store_true", help="only name the files")
    parser.set_defaults(run_command=_run_clean)


def _run_runs(options: argparse.Namespace) -> int:
    found = [run for folder in options.folders for run in _runs_in(folder)]
    for folder in found:
        try:
            run = read_run_summary(folder)
        except RunError as error:
            say(f"cyclegan: {error}", error=True)
            continue
        if options.json:
            say(json.dumps(_values(run)))
            continue
        say(_line(run))
        if run.problem:
            say(f"    {run.problem}")
        for line in read_about(run.folder).note.splitlines():
            say(f"    {line}")
    if not found:
        raise RunError(f"There is no training in {', '.join(map(str, options.folders))}.")
    return 0


def _runs_in(folder: Path) -> list[Path]:
    if (folder / "config.json").is_file():
        return [folder]
    return runs_in(folder)


def _values(run: RunSummary) -> dict[str, Any]:
    about = read_about(run.folder)
    return {
        "run": str(run.folder),
        "name": about.name or f"{run.config.name_A} and {run.config.name_B}",
        "note": about.note,
        "preset": run.config.preset,
        "step": run.step,
        "total_steps": run.total_steps,
        "seconds": run.seconds,
        "best_score": run.best_score,
        "best_step": run.best_step,
        "problem": run.problem,
        "bytes": disk_use(run.folder).total,
    }


def _line(run: RunSummary) -> str:
    values = _values(run)
    best = "" if run.best_score is None else f"best score {run.best_score:.0f} (step {run.best_step:,}), "
    return (
        f"{values['name']}: {run.config.preset}, step {run.step:,} of {run.total_steps:,}, "
        f"{duration_words(run.seconds)}, {best}{bytes_words(values['bytes'])}, {run.folder}"
    )


def _run_describe(options: argparse.Namespace) -> int:
    about = read_about(options.run)
    name, note = (given if given is not None else old for given, old in
                  ((options.name, about.name), (options.note, about.note)))  # fmt: skip
    write_about(options.run, About(name, note))
    return 0


def _run_clean(options: argparse.Namespace) -> int:
    kinds: list[CleanKind] = ["checkpoints"]
    if options.moments:
        kinds.append("moments")
    if options.samples:
        kinds.append("samples")
    if options.dry_run:
        read_run_summary(options.run)
        for path in cleanable(options.run, kinds):
            say(str(path))
        return 0
    before = len(cleanable(options.run, kinds))
    say(f"{bytes_words(clean_up(options.run, kinds))} freed, {counted(before, 'file')} deleted.")
    return 0
