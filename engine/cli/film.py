"""The command that looks back on a training: `cyclegan film` lists its moments, stars them, and exports their film."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, assert_never, get_args

from engine.config import Direction
from engine.errors import RunError
from engine.events import FilmExported, Moment, Preparing
from engine.terminal import say
from engine.training.film import MOMENTS_PER_SECOND, export_film
from engine.training.moments import choose_samples, read_moment_samples, read_moments, set_star
from engine.training.run import read_settings
from engine.words import counted


def add_commands(commands: Any) -> None:
    """Add it to the parser of the headless command."""
    parser = commands.add_parser(
        "film",
        help="look back on a training: its moments, stars, and their film",
        description="Lists the moments whose samples are kept. A starred moment keeps them for good, and its model "
        "too, with which one can convert and begin a training (--start-from), as long as it is one of at most 20.",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder of a training")
    parser.add_argument("--star", type=int, metavar="STEP", action="append", default=[], help="star this moment")
    parser.add_argument("--unstar", type=int, metavar="STEP", action="append", default=[], help="take its star away")
    film = parser.add_argument_group("film")
    film.add_argument("--to", type=Path, metavar="FILE", help="write the film: .webp, .gif or .png; never overwritten")
    film.add_argument("--picture", metavar="NAME", help="show only this picture (all, one below another)")
    film.add_argument("--direction", choices=get_args(Direction), help="show only this direction (both)")
    film.add_argument("--speed", type=float, metavar="N", default=MOMENTS_PER_SECOND, help="moments a second "
                      "(%(default)g)")  # fmt: skip
    samples = parser.add_argument_group("pictures shown as samples, from the next resume on")
    samples.add_argument("--samples-A", type=Path, nargs="+", metavar="FILE", default=[], help="of the first domain, "
                         "at most 4, from anywhere")  # fmt: skip
    samples.add_argument("--samples-B", type=Path, nargs="+", metavar="FILE", default=[], help="of the second domain")
    parser.add_argument("--json", action="store_true", help="print one moment a line as JSON, or the film's story")
    parser.set_defaults(run_command=_run_film)


def _run_film(options: argparse.Namespace) -> int:
    run: Path = options.run
    read_settings(run)
    if options.samples_A or options.samples_B:
        pictures = choose_samples(run, options.samples_A, options.samples_B)
        if not pictures.shows_held_out:
            say("Some of these pictures are also trained on: others may come out less well.", error=True)
    for step in options.star:
        moments = set_star(run, step, True)
        if not any(moment.step == step and moment.model for moment in moments):
            say(f"Step {step:,} is starred; its samples are kept, its model is not there any more.", error=True)
    for step in options.unstar:
        set_star(run, step, False)
    if options.to is not None:
        return _export(options)
    for moment in read_moments(run):
        say(json.dumps(_values(moment)) if options.json else _line(moment))
    return 0


def _export(options: argparse.Namespace) -> int:
    if not 0.1 <= options.speed <= 100:
        raise RunError(f"A film shows from 0.1 to 100 moments a second, not {options.speed:g}; give another --speed.")
    source = None if options.picture is None else _source(options.run, options.picture, options.direction)
    events = export_film(options.run, source, options.to, direction=options.direction, moments_per_second=options.speed)
    for event in events:
        match event:
            case Preparing():
                pass
            case FilmExported():
                story = {"path": str(event.path), "frames": event.frames, "seconds": event.seconds}
                words = f"{counted(event.frames, 'moment')} in {event.seconds:.1f} s: {event.path}"
                say(json.dumps({"event": "FilmExported", **story}) if options.json else words)
            case _:
                assert_never(event)
    return 0


def _source(run: Path, name: str, direction: Direction | None) -> Path:
    """The picture of this name or path that the newest moment shows.

    Raises:
        RunError: There is none, or more than one.
    """
    samples = next((found for moment in reversed(read_moments(run)) if (found := read_moment_samples(moment))), ())
    sources = {sample.source for sample in samples if direction in (None, sample.direction)}
    named = [each for each in sources if name == each.name or Path(name).absolute() == each]
    if len(named) == 1:
        return named[0]
    names = ", ".join(sorted(str(each) for each in sources)) or "none"
    fault = "no such picture" if not named else "several pictures of that name"
    raise RunError(f"{run} shows {fault} as a sample ({name}). It shows {names}; give one of these whole.")


def _values(moment: Moment) -> dict[str, object]:
    return {
        "step": moment.step,
        "is_starred": moment.is_starred,
        "model": None if moment.model is None else str(moment.model),
        "files": [str(path) for path in moment.files],
    }


def _line(moment: Moment) -> str:
    star = "*" if moment.is_starred else " "
    return f"{star} {moment.step:>9,}  {moment.model or ''}".rstrip()
