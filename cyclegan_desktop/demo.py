"""The demonstration: the main job on the sample that comes with the app, before the user's eyes.

It trains by the clock, converts a folder each way and shows before and after. Without a display the same window runs
off-screen; where Qt cannot start at all, the engine does the same alone.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, assert_never

from cyclegan_desktop.qt_probe import advice, probe
from cyclegan_desktop.resource_files import resources_folder
from engine import convert, train
from engine.config import ConvertJob, Direction, TrainConfig, preset_config
from engine.data.folders import find_domains
from engine.errors import EngineError
from engine.events import (
    ConvertFinished,
    FileFailed,
    HealthChecked,
    Notice,
    Preparing,
    QualityMeasured,
    RolledBack,
    SamplesDrawn,
    Saved,
    StepReport,
    TrainEvent,
    TrainFinished,
    TrainStarted,
)

_TRAINING_MINUTES: Final = 1.6
_SAY_SECONDS: Final = 5.0

_NAMES: Final = ("Summer", "Winter")
DIRECTIONS: Final[tuple[tuple[Direction, str], ...]] = (("a2b", "Summer to Winter"), ("b2a", "Winter to Summer"))
"""Each direction and its name."""


def run_demo() -> int:
    """Train on the sample, convert a folder each way, and leave the results in `cyclegan-demo` in the current folder.

    Returns:
        0 if all went well, 1 if something failed.
    """
    try:
        places = Places.make()
    except (EngineError, OSError) as error:
        say(f"The demonstration cannot begin: {error}")
        return 1
    say(f"The demonstration trains about {_TRAINING_MINUTES * 60:.0f} seconds. Its results go to {places.folder}")
    if reason := probe():
        if off_screen_reason := probe("offscreen"):
            say(advice(off_screen_reason))
            say("The demonstration runs without a window.")
            return _run_without_window(places)
        say(f"The window stays off-screen: {reason}")
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
    return _run_in_window(places)


@dataclass(frozen=True, slots=True)
class Places:
    """Folders of the demonstration.

    Attributes:
        folder: Everything it leaves behind.
        config: The training.
        sources: Held-out pictures to convert, by direction.
    """

    folder: Path
    config: TrainConfig
    sources: dict[Direction, Path]

    @classmethod
    def make(cls) -> Places:
        """Make a folder for the results.

        Raises:
            FileNotFoundError: The sample is not where it should be.
            OSError: Nothing can be written.
        """
        sample = find_domains(resources_folder() / "sample")
        if sample is None or sample.test_A is None or sample.test_B is None:
            raise FileNotFoundError(f"the sample is missing from {resources_folder()}; install the app again.")
        folder = _new_folder(Path.cwd())
        config = preset_config(
            "quick",
            folder_A=sample.train_A,
            folder_B=sample.train_B,
            test_A=sample.test_A,
            test_B=sample.test_B,
            run=folder / "training",
            name_A=_NAMES[0],
            name_B=_NAMES[1],
            # Enough for a machine that takes these steps before the clock ends it.
            epochs=10,
            decay_epochs=6,
            max_minutes=_TRAINING_MINUTES,
        )
        return cls(folder, config, {"a2b": sample.test_A, "b2a": sample.test_B})

    def results(self, direction: Direction) -> Path:
        """Where the converted pictures of a direction go."""
        return self.folder / dict(DIRECTIONS)[direction]


def _new_folder(parent: Path) -> Path:
    """`cyclegan-demo`, or with a number where an earlier demonstration has left one; elsewhere if it must be."""
    for number in range(1, 1000):
        folder = parent / ("cyclegan-demo" if number == 1 else f"cyclegan-demo-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        except OSError:
            break
        return folder
    return Path(tempfile.mkdtemp(prefix="cyclegan-demo-"))


class Narrator:
    """Prints how far the training is, now and then."""

    def __init__(self) -> None:
        self._next = 0.0

    def follow(self, event: TrainEvent) -> None:
        """Print something if it is time to."""
        match event:
            case TrainStarted():
                say(f"Training {event.name_A} and {event.name_B} on {event.device}, {event.precision}.")
            case StepReport() if time.monotonic() >= self._next:
                self._next = time.monotonic() + _SAY_SECONDS
                say(f"  step {event.step:,}, {event.seconds_left:.0f} s left")
            case TrainFinished():
                say(f"Trained {event.step:,} steps in {event.seconds:.0f} s.")
            case Preparing() | Notice() | StepReport() | SamplesDrawn() | Saved():
                pass
            case QualityMeasured() | HealthChecked() | RolledBack():
                pass
            case _:
                assert_never(event)


def _run_without_window(places: Places) -> int:
    narrator = Narrator()
    try:
        for event in train(places.config):
            narrator.follow(event)
        failed = 0
        for direction, name in DIRECTIONS:
            job = ConvertJob(
                model=places.config.run,
                sources=(places.sources[direction],),
                to=places.results(direction),
                direction=direction,
            )
            for step in convert(job):
                if isinstance(step, FileFailed):
                    say(f"  {step.source.name}: {step.reason}")
                elif isinstance(step, ConvertFinished):
                    failed += step.failed
                    say(f"{name}: {step.converted} pictures in {step.to}")
    except EngineError as error:
        say(f"The demonstration failed: {error}")
        return 1
    return 1 if failed else 0


def _run_in_window(places: Places) -> int:
    from cyclegan_desktop.demo_window import show_demo

    return show_demo(places)


def say(text: str) -> None:
    """A line on standard output, at once, where there is one: a frozen Windows app has none."""
    if sys.stdout is None:
        return
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
