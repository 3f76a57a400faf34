"""A Convert page with models and a converter that need no torch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from engine.config import ConvertJob, Direction
from engine.conversion.model_file import ModelInfo
from engine.errors import ModelFileError
from engine.events import (
    Converted,
    ConvertEvent,
    ConvertFinished,
    ConvertingFile,
    ConvertPlanned,
    FileFailed,
    FileSkipped,
    Preparing,
)
from engine.model.architecture import Architecture

# These are imported in the fixtures only: pytest reads this file also where Qt cannot be.
if TYPE_CHECKING:
    from cyclegan_desktop.conversion.controller import ConversionController
    from cyclegan_desktop.conversion.page import ConversionPage
    from cyclegan_desktop.settings import Settings


class FakeConverter:
    """Copies every picture; one that is empty and whose name begins with "bad" fails. What is there is skipped.

    Attributes:
        jobs: The jobs it was given.
        hold_before: Name of the picture before which it waits for `go`.
        has_ledger: Whether it skips pictures whose results are there.
        go: Lets it go on.
        waiting: It waits.
        error: Raised instead of converting anything.
        closed: How often it was closed before its end.
    """

    def __init__(self) -> None:
        self.jobs: list[ConvertJob] = []
        self.hold_before = ""
        self.has_ledger = False
        self.go = threading.Event()
        self.waiting = threading.Event()
        self.error: Exception | None = None
        self.closed = 0

    def __call__(self, job: ConvertJob) -> Iterator[ConvertEvent]:
        self.jobs.append(job)
        yield Preparing("Loading the model")
        if self.error is not None:
            raise self.error
        yield ConvertPlanned(job.sources, 0, job.to, "CPU", "fp32")
        job.to.mkdir(parents=True, exist_ok=True)
        failed = skipped = 0
        for index, source in enumerate(job.sources):
            if (job.to / source.name).exists() and not job.again and self.has_ledger:
                skipped += 1
                yield FileSkipped(index, source, job.to / source.name, True, "It was converted before.")
                continue
            try:
                yield ConvertingFile(index, source)
            except GeneratorExit:
                self.closed += 1
                raise
            if source.name == self.hold_before:
                self.waiting.set()
                assert self.go.wait(20)
            if source.name.startswith("bad") and source.read_bytes() == b"":
                failed += 1
                yield FileFailed(index, source, f"{source.name} is empty. Copy it again.")
                continue
            target = job.to / source.name
            target.write_bytes(source.read_bytes())
            notes = ("Only the first of 12 frames was converted.",) if source.suffix == ".gif" else ()
            yield Converted(index, source, target, notes, 0.01)
        yield ConvertFinished(len(job.sources) - failed - skipped, skipped, failed, 0, job.to, 1.0)


@pytest.fixture
def converter() -> FakeConverter:
    return FakeConverter()


@pytest.fixture
def read_model() -> Callable[[Path], ModelInfo]:
    """Every path that holds "apple" or "horse" is a model, of one direction if it holds "one-way" as well."""

    def read(path: Path) -> ModelInfo:
        file = path if path.suffix == ".safetensors" else path / "model.safetensors"
        if "apple" in str(path):
            names = ("Apples", "Oranges")
        elif "horse" in str(path):
            names = ("Horses & foals", "<b>Zebras</b>")
        else:
            raise ModelFileError(f"{path} is no model file (.safetensors), or it is damaged.")
        directions: tuple[Direction, ...] = ("a2b",) if "one-way" in str(path) else ("a2b", "b2a")
        return ModelInfo(file, *names, 64, Architecture(), "quick", 1000, "2025-11-22", directions=directions)

    return read


@pytest.fixture
def page(qtbot, converter) -> Iterator[ConversionPage]:
    from cyclegan_desktop.conversion.controller import ConversionController
    from cyclegan_desktop.conversion.page import ConversionPage
    from cyclegan_desktop.review.compare import Comparison

    # Threads instead of processes, which take their time to start.
    pool = ThreadPoolExecutor(2)
    page = ConversionPage(Comparison(pool=pool))
    page.resize(1180, 660)

    def finish(_page: ConversionPage) -> None:
        converter.go.set()
        for controller in page.findChildren(ConversionController):
            controller.close()
        page.comparison.show_nothing()
        page.comparison.wait()

    # pytest-qt destroys its widgets before the fixtures that use them end.
    qtbot.addWidget(page, before_close_func=finish)
    yield page
    pool.shutdown()


@pytest.fixture
def make_controller(page, settings, converter, read_model, monkeypatch, tmp_path) -> Callable:
    from cyclegan_desktop.conversion.controller import ConversionController

    # Whether the starter model is there is no concern of these tests.
    monkeypatch.setattr("cyclegan_desktop.conversion.known_models.resources_folder", lambda: tmp_path / "resources")

    def make(**arguments: object) -> ConversionController:
        given = {"convert": converter, "read_model": read_model, "parent": page, **arguments}
        return ConversionController(page, settings, **given)

    return make


@pytest.fixture
def controller(make_controller, settings: Settings, tmp_path: Path) -> ConversionController:
    """A controller with one model in its library, Apples to Oranges."""
    settings.library = [tmp_path / "apple run"]
    return make_controller()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder: a.png, b.gif, bad.png (empty), sub/c.png, and two files that are no pictures."""
    folder = tmp_path / "Photos"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.png", "b.gif", "sub/c.png"):
        Image.new("RGB", (8, 6), "red").save(folder / name)
    (folder / "bad.png").touch()
    (folder / "notes.txt").write_text("no picture")
    (folder / "sub" / "list.csv").write_text("no picture")
    return folder


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """A second folder: x.png and y.png."""
    folder = tmp_path / "Scans"
    folder.mkdir()
    for name in ("x.png", "y.png"):
        Image.new("RGB", (8, 6), "green").save(folder / name)
    return folder


@pytest.fixture
def told(monkeypatch) -> list[str]:
    """What notifications said."""
    texts: list[str] = []
    monkeypatch.setattr("cyclegan_desktop.notification.Notifier.tell", lambda _self, title, text: texts.append(text))
    return texts
