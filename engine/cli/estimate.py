"""The commands that help to choose: `cyclegan estimate` and `cyclegan presets`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine import estimate
from engine.cli.output import OK, SOME_FAILED, STOPPED, Stop
from engine.cli.settings import add_settings, new_config
from engine.config import PRESETS, TrainConfig, preset_config
from engine.events import Estimated, Notice, Preparing, TooLarge
from engine.options import Option
from engine.presets import default_presets_folder, read_presets
from engine.remedies import Remedy
from engine.terminal import say
from engine.words import bytes_words, duration_words

_GROUPS = {"purpose": "by purpose", "memory": "by memory", "compare": "to compare", "own": "your own"}


def add_commands(commands: Any) -> None:
    """Add them to the parser of the headless command."""
    _add_estimate(commands)
    _add_presets(commands)


def _add_estimate(commands: Any) -> None:
    parser = commands.add_parser(
        "estimate",
        help="measure how long a training would take, how much memory, and whether it fits",
        usage="cyclegan estimate A B [option ...]\n       cyclegan estimate ROOT [option ...]",
        description="Takes a few real steps and stores nothing, then does the same with the quick preset. Options are "
        "those of train. The exit code is 0 if the training fits into memory, 1 if not, 2 if it cannot be trained.",
    )
    add_settings(parser)
    parser.set_defaults(run_command=_run_estimate)


def _run_estimate(options: argparse.Namespace) -> int:
    run = free_run()
    config = new_config(options, run)
    with Stop() as stop:
        fits = tell_estimate(config, as_json=options.json, is_stopped=lambda: stop.asked)
    return STOPPED if fits is None else OK if fits else SOME_FAILED


def free_run() -> Path:
    """A folder for a training that is only measured; it is never made."""
    return Path(tempfile.gettempdir()) / f"cyclegan-{secrets.token_hex(4)}"


def tell_estimate(config: TrainConfig, *, as_json: bool, is_stopped: Callable[[], bool]) -> bool | None:
    """Measure a training, and the quick preset beside it.

    Args:
        config: The training.
        as_json: Whether to print one event a line instead of sentences.
        is_stopped: Whether the user has asked for a stop.

    Returns:
        Whether it fits; None if it was stopped.

    Raises:
        EngineError: It cannot be trained.
    """
    result = _measure(config, as_json=as_json, is_stopped=is_stopped)
    if result is None:
        return None
    if not as_json:
        _tell(result)
    quick = preset_config(
        "quick",
        **{field: getattr(config, field) for field in ("folder_A", "folder_B", "name_A", "name_B", "test_A", "test_B")},
        run=config.run,
        left_out=config.left_out,
        device=config.device,
    )
    if quick != config:
        beside = _measure(quick, as_json=as_json, is_stopped=is_stopped)
        if beside is None:
            return None
        if not as_json and isinstance(beside, Estimated):
            say(
                f"The quick preset: about {duration_words(beside.seconds)} and {bytes_words(beside.memory_bytes)}"
                f"{'.' if beside.fits else ', which does not fit either.'}"
            )
    return isinstance(result, Estimated) and result.fits


def _measure(config: TrainConfig, *, as_json: bool, is_stopped: Callable[[], bool]) -> Estimated | TooLarge | None:
    events = estimate(config)
    said: set[Preparing] = set()
    for event in events:
        if is_stopped():
            events.close()  # type: ignore[attr-defined]
            return None
        # A phase that lasts says so again and again, for who draws it.
        if as_json and event not in said:
            say(json.dumps(_plain(event, config)))
        if isinstance(event, Preparing):
            said.add(event)
        if isinstance(event, Estimated | TooLarge):
            return event
    raise AssertionError("an estimate ends with its result")


def _plain(event: Preparing | Notice | Estimated | TooLarge, config: TrainConfig) -> dict[str, Any]:
    values = {"event": type(event).__name__, "preset": config.preset, **dataclasses.asdict(event)}
    return {**values, "fits": event.fits} if isinstance(event, Estimated) else values


def _tell(event: Estimated | TooLarge) -> None:
    if isinstance(event, TooLarge):
        say(
            f"It does not fit: it needs more than the {bytes_words(event.memory_free_bytes)} that are free on "
            f"{event.device}."
        )
    else:
        say(
            f"About {duration_words(event.seconds)} and {bytes_words(event.memory_bytes)}: {event.total_steps:,} steps "
            f"of {event.seconds_per_step:.2g} s on {event.device} in {event.precision}."
        )
        free = bytes_words(event.memory_free_bytes)
        say(f"It fits: {free} are free." if event.fits else f"It does not fit: {free} are free.")
    if not (isinstance(event, Estimated) and event.fits):
        say("What needs less memory:")
        for remedy in event.remedies:
            say(f"  {flags_of(remedy)}  {remedy.text}. {remedy.hint}")


def flags_of(remedy: Remedy) -> str:
    """Its changes as options of the command; "" where it has none."""
    parts = []
    for field, value in remedy.changes:
        flag = Option.flag_of(field)
        # What is None is what nobody asks for.
        parts.append(flag if value is True else f"(without {flag})" if value is None else f"{flag} {value}")
    return " ".join(parts)


def _add_presets(commands: Any) -> None:
    """Add the command that lists presets to the parser of the headless command."""
    parser = commands.add_parser("presets", help="list all presets, your own among them")
    parser.add_argument("--json", action="store_true", help="print one preset a line, with its settings, as JSON")
    parser.set_defaults(run_command=_run_presets)


def _run_presets(options: argparse.Namespace) -> int:
    own = read_presets(default_presets_folder())
    group = ""
    for preset in (*PRESETS.values(), *(other.preset for other in own.presets)):
        if options.json:
            say(json.dumps({**dataclasses.asdict(preset), "values": dict(preset.values)}))
            continue
        if preset.group != group:
            group = preset.group
            say(f"{_GROUPS[group]}:")
        say(f"  {preset.name:<12} {preset.summary}")
    for problem in own.problems:
        say(f"cyclegan: {problem}", error=True)
    if not options.json:
        say(f"Your own are in {default_presets_folder()}")
    return 0
