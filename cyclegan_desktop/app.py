"""Composition root: everything of the app is made here and wired to each other."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QApplication

from cyclegan_desktop.awake import KeepAwake
from cyclegan_desktop.conversion.controller import ConversionController
from cyclegan_desktop.conversion.options import ConversionOptions
from cyclegan_desktop.conversion.page import ConversionPage
from cyclegan_desktop.drops import reference_files
from cyclegan_desktop.error_dialog import ErrorReporter
from cyclegan_desktop.library.controller import LibraryController
from cyclegan_desktop.library.page import LibraryPage
from cyclegan_desktop.main_window import MainWindow, Page
from cyclegan_desktop.review.compare_mode import CompareMode
from cyclegan_desktop.settings import Settings
from cyclegan_desktop.taskbar import make_taskbar
from cyclegan_desktop.training.controller import TrainingController
from cyclegan_desktop.training.page import PageState, TrainingPage
from engine.conversion.model_file import read_model_info
from engine.errors import EngineError
from engine.events import (
    Converted,
    ConvertEvent,
    ConvertFinished,
    ConvertingFile,
    ConvertPlanned,
    FileFailed,
    FilesFound,
    FileSkipped,
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
    WaitingForSpace,
)
from engine.files import is_folder
from engine.training.run import read_run_summary


@dataclass(frozen=True)
class Pages:
    """The pages of the window."""

    training: TrainingPage
    conversion: ConversionPage
    library: LibraryPage


def make_pages() -> Generator[None, None, Pages]:
    """The pages, made one after the other: in between, the window's thread may listen to its user."""
    training = TrainingPage()
    yield
    options = ConversionOptions()
    yield
    conversion = ConversionPage(options=options)
    yield
    return Pages(training, conversion, LibraryPage())


class App(QObject):
    """The window, the three controllers, and what they have to do with each other.

    Args:
        settings: What is remembered between starts.
        window: It gets the pages; None makes one.
        pages: They; None makes them.

    Attributes:
        settings: What is remembered between starts.
        window: The main window; it is shown by `show`.
        training: The controller of the Train page.
        conversion: The controller of the Convert page.
        library: The controller of the Models page.
        errors: Shows exceptions that nobody expected, once it is installed.
    """

    def __init__(self, settings: Settings, window: MainWindow | None = None, pages: Pages | None = None) -> None:
        super().__init__()
        self.settings = settings
        if pages is None:
            pages = Pages(TrainingPage(), ConversionPage(), LibraryPage())
        training_page, conversion_page, library_page = pages.training, pages.conversion, pages.library
        self.window = window or MainWindow(settings)
        self.window.set_pages(training_page, conversion_page, library_page)
        self.training = TrainingController(training_page, settings, parent=self)
        self.conversion = ConversionController(conversion_page, settings, parent=self)
        self.library = LibraryController(library_page, settings, parent=self)
        self.errors = ErrorReporter(self)
        self.awake = KeepAwake(is_allowed=settings.keep_awake)
        self._taskbar = make_taskbar(self.window)
        self._training_state: PageState = "idle"
        self._names = ("", "")
        self._planned = self._tried = 0
        self._trained = 0.0

        conversion_page.comparison.set_mode(settings.compare_mode)
        conversion_page.comparison.mode_changed.connect(self._remember_mode)
        self.window.set_unfinished(self.conversion.unfinished_count)
        self.conversion.offered.connect(self.window.set_unfinished)
        self.window.files_dropped.connect(self.open_paths)
        self.window.page_shown.connect(self._refresh_page)
        self.window.stop_requested.connect(self._stop_all)
        self.window.preferences_changed.connect(lambda: self.awake.set_allowed(settings.keep_awake))
        self.training.busy_changed.connect(self.window.set_training)
        self.training.state_changed.connect(self._take_training_state)
        self.training.interrupted_changed.connect(self.window.set_interrupted)
        self.training.busy_changed.connect(library_page.set_training)
        self.training.event.connect(self._follow_training)
        self.training.ended.connect(self._stay_after_failure)
        self.training.run_changed.connect(self._run_changed)
        self.training.convert_requested.connect(self.convert_with)
        self.conversion.busy_changed.connect(self.window.set_conversion)
        self.conversion.busy_changed.connect(self._take_conversion_state)
        self.conversion.event.connect(self._follow_conversion)
        self.conversion.ended.connect(self._stay_after_failure)
        self.conversion.library_changed.connect(self.library.refresh)
        self.conversion.import_requested.connect(self.library.import_files)
        self.library.open_requested.connect(self.show_run)
        self.library.resume_requested.connect(self.resume)
        self.library.convert_requested.connect(self.convert_with)
        self.library.fine_tune_requested.connect(self.fine_tune)
        self.library.duplicate_requested.connect(self.train_alike)
        self.library.imported.connect(lambda _model: self.window.show_page(Page.MODELS))
        self.library.models_changed.connect(self.conversion.refresh_models)
        app = QApplication.instance()
        if app is not None:
            app.aboutToQuit.connect(self.close)

    def close(self) -> None:
        """Let the machine sleep, and leave nothing in its task bar."""
        self.training.close()
        self.awake.close()
        self._taskbar.show("none")

    def show(self) -> None:
        """Show the window; once its pages are drawn, interrupted trainings are looked for."""
        self.window.furnished.connect(self.training.look_for_interrupted)
        self.window.show()

    def open_paths(self, paths: list[Path]) -> None:
        """Do what is meant by files and folders dropped on the window or named on the command line.

        A model or a run is converted with. Weights of the reference are imported. On the Train page one or two folders
        begin a new training, unless one runs. Everything else is to be converted.
        """
        weights, paths = reference_files(paths)
        if weights:
            self.library.import_files(weights)
            if not paths:
                return
        if len(paths) == 1 and _is_model_or_run(paths[0]):
            self._know(paths[0])
            self.convert_with(paths[0])
        elif self._are_for_training(paths):
            self.training.new_training(paths)
        else:
            self.window.show_page(Page.CONVERT)
            self.conversion.add_sources(paths)

    def convert_with(self, model: Path) -> None:
        """Show the Convert page with this model file or run folder."""
        self.window.show_page(Page.CONVERT)
        self.conversion.set_model(model)

    def show_run(self, run: Path) -> None:
        """Show the Train page with this training, at rest."""
        self.window.show_page(Page.TRAIN)
        self.training.show_run(run)

    def resume(self, run: Path) -> None:
        """Show the Train page and go on with this training."""
        self.window.show_page(Page.TRAIN)
        self.training.resume(run)

    def fine_tune(self, model: Path) -> None:
        """Show the Train page, and the wizard for a training that begins with these networks."""
        self.window.show_page(Page.TRAIN)
        self.training.new_training(start_from=model)

    def train_alike(self, run: Path) -> None:
        """Show the Train page, and the wizard with the settings of this run."""
        self.window.show_page(Page.TRAIN)
        self.training.new_alike(run)

    def _are_for_training(self, paths: list[Path]) -> bool:
        # At most two, so that a drop of thousands of files asks the disk nothing.
        return (
            self.window.page == Page.TRAIN
            and not self.training.is_busy
            and len(paths) <= 2
            and all(is_folder(path) for path in paths)
        )

    def _know(self, path: Path) -> None:
        """Put a model or run that was dropped on the list of models."""
        try:
            read_model_info(path)
        except EngineError:
            return  # The Convert page says why it cannot be used.
        self.settings.remember_in_library(path)
        self.library.refresh()

    def _remember_mode(self, mode: CompareMode) -> None:
        self.settings.compare_mode = mode
        self.settings.save()

    def _refresh_page(self, page: int) -> None:
        if page == Page.MODELS:
            self.library.refresh()

    def _run_changed(self, run: Path) -> None:
        self.conversion.refresh_models()
        if self.window.page == Page.MODELS:
            self.library.refresh()

    def _stop_all(self) -> None:
        self.training.stop()
        self.conversion.stop_for_closing()

    def _stay_after_failure(self, how: str) -> None:
        if how == "failed":
            self.window.stay_open()

    def _follow_training(self, event: TrainEvent) -> None:
        match event:
            case TrainStarted(name_A=name_A, name_B=name_B, step=step, total_steps=total_steps):
                self._names = (name_A, name_B)
                self._show_training(step / max(1, total_steps))
            case StepReport():
                self._show_training(event.share_done)
            case Preparing() | Notice() | SamplesDrawn() | QualityMeasured() | HealthChecked() | RolledBack():
                pass
            case Saved() | TrainFinished():
                pass
            case _:
                assert_never(event)

    def _show_training(self, share: float) -> None:
        self._trained = share
        self.window.set_training_progress(*self._names, share)
        self._show_in_taskbar()

    def _take_training_state(self, state: PageState) -> None:
        self._training_state = state
        self.window.set_training_state(state)
        # A pause, of either kind, is for other things: also for sleep.
        self.awake.set_reason("training", state in ("working", "stopping", "freeing"))
        self._show_in_taskbar()

    def _take_conversion_state(self, is_busy: bool) -> None:
        self.awake.set_reason("conversion", is_busy)
        self._show_in_taskbar()

    def _show_in_taskbar(self) -> None:
        """The training's progress, or else the conversion's."""
        if self._training_state in ("paused", "freed"):
            self._taskbar.show("paused", self._trained)
        elif self._training_state != "idle":
            self._taskbar.show("working", self._trained)
        elif self.conversion.is_busy and self._planned:
            self._taskbar.show("working", self._tried / self._planned)
        else:
            self._taskbar.show("none")

    def _follow_conversion(self, event: ConvertEvent) -> None:
        match event:
            case ConvertPlanned(sources=sources):
                self._planned, self._tried = len(sources), 0
                self._show_conversion()
            case FilesFound(sources=sources):
                self._planned += len(sources)
            case Converted() | FileSkipped() | FileFailed():
                self._tried += 1
                self._show_conversion()
            case Preparing() | Notice() | ConvertingFile() | WaitingForSpace() | ConvertFinished():
                pass
            case _:
                assert_never(event)

    def _show_conversion(self) -> None:
        if self.conversion.is_watching:
            self.window.set_watching(self._tried)  # There is no end to count towards.
        else:
            self.window.set_conversion_progress(self._tried, self._planned)
        self._show_in_taskbar()


def _is_model_or_run(path: Path) -> bool:
    if not is_folder(path):
        return path.suffix.lower() == ".safetensors"
    try:
        read_run_summary(path)
    except EngineError:
        return False
    return True
