"""What happens on the Convert page: it owns the thread that converts and the one that looks for pictures."""

from __future__ import annotations

import logging
import os
import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal, assert_never

from PySide6.QtCore import QCoreApplication, QObject, QStandardPaths, QTimer, Signal

import engine
from cyclegan_desktop.conversion.file_list import FileState, MadeWith
from cyclegan_desktop.conversion.page import ConversionPage
from cyclegan_desktop.conversion.scanner import LookForPictures, Scanner
from cyclegan_desktop.conversion.sources import (
    FolderDone,
    Found,
    NoPictures,
    NotThere,
    SourceEvent,
    look_for_pictures,
)
from cyclegan_desktop.drops import reference_files
from cyclegan_desktop.engine_thread import EngineThread, Failure
from cyclegan_desktop.resource_files import resources_folder
from cyclegan_desktop.settings import Settings
from engine.config import ConvertJob, Direction
from engine.conversion.model_file import MODEL_FILE_NAME, ModelInfo, read_model_info
from engine.data.folders import is_within
from engine.errors import ConfigError, EngineError
from engine.events import (
    Converted,
    ConvertEvent,
    ConvertFinished,
    ConvertingFile,
    ConvertPlanned,
    FileFailed,
    Notice,
    Preparing,
)

logger = logging.getLogger(__name__)

STARTER_MODEL: Final = "starter.safetensors"
"""The model in the resources with which Convert works at the first start."""

_TICK_MS: Final = 100
_RATE_WINDOW_SECONDS: Final = 15.0
_FOLLOW_SECONDS: Final = 1.0


class ConversionController(QObject):
    """Converts what the page lists.

    Every picture of the list is one source of the job, whether it came by itself or in a folder: so what the list shows
    is what is converted, also after some rows were removed, and after a failure only the failed ones are tried again.

    Signals:
        busy_changed: Whether a conversion is under way.
        ended: How it ended: "done", "stopped" or "failed".
        event: Every event of the engine, passed on.
        library_changed: A model was added to the settings' library.
        import_requested: Weights of the reference were among what was added; they are imported before use.
    """

    busy_changed = Signal(bool)
    ended = Signal(str)
    event = Signal(object)  # type: ignore[assignment]  # Hides QObject.event, which nobody calls from Python.
    library_changed = Signal()
    import_requested = Signal(list)

    def __init__(
        self,
        page: ConversionPage,
        settings: Settings,
        *,
        convert: Callable[[ConvertJob], Iterator[ConvertEvent]] = engine.convert,
        read_model: Callable[[Path], ModelInfo] = read_model_info,
        look: LookForPictures = look_for_pictures,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._page = page
        self._files = page.list.files
        self._settings = settings
        self._convert = convert
        self._read_model = read_model

        self._model: ModelInfo | None = None
        self._wished_direction: Direction = settings.last_direction
        self._chosen_output = settings.output_folder

        self._thread: EngineThread | None = None
        self._outcome: Literal["done", "stopped", "failed"] = "done"
        self._failure: Failure | None = None
        self._made_with: MadeWith | None = None
        self._numbers: list[int] = []  # Row of each source of the job, by its place in the plan.
        self._planned = 0
        self._converted = self._failed = 0
        self._last_output: Path | None = None
        self._ticks = QTimer(self)
        self._ticks.setInterval(_TICK_MS)
        self._ticks.timeout.connect(self._tick)
        self._rate = _Rate()

        self._scanner = Scanner(look, self)
        self._other_files: dict[Path, int] = {}
        self._start_wanted = False

        self._shows_summary = False  # What came of the last conversion stands until something is changed.
        self._selected = -1
        self._shown: tuple[Path, bool, Path | None] | None = None
        self._newest = -1
        self._follows = False
        self._followed_at = 0.0
        self._selecting = False

        page.paths_added.connect(self.add_sources)
        page.remove_requested.connect(self.remove)
        page.clear_requested.connect(self.clear)
        page.row_selected.connect(self._row_selected)
        page.failed_only_changed.connect(self._show_failed_only)
        page.options.model_picked.connect(self.set_model)
        page.options.model_opened.connect(self._open_model)
        page.options.direction_picked.connect(self.set_direction)
        page.options.output_picked.connect(self._output_picked)
        page.convert_requested.connect(self.start)
        page.cancel_requested.connect(self.stop)
        page.retry_requested.connect(self.retry_failed)
        page.open_output_requested.connect(self._open_output)
        self._scanner.found.connect(self._on_scan_event)
        self._scanner.failed.connect(self._on_scan_failed)
        self._scanner.ended.connect(self._on_scan_ended)
        app = QCoreApplication.instance()
        if app is not None:
            app.aboutToQuit.connect(self.close)

        self.refresh_models()
        self._choices_changed()

    @property
    def is_busy(self) -> bool:
        """Whether a conversion is under way."""
        return self._thread is not None

    # What to convert

    def add_sources(self, paths: list[Path]) -> None:
        """Add files and folders, which are looked through in the background. A model alone is converted with."""
        weights, paths = reference_files(paths)
        if weights:
            self.import_requested.emit(weights)
            if not paths:
                return
        if len(paths) == 1 and not self.is_busy and _is_model(paths[0]):
            self._open_model(paths[0])
            return
        if not self.is_busy and not self._scanner.is_busy:
            self._page.clear_messages()
        self._scanner.add(paths)
        if self._scanner.is_busy and not self.is_busy:
            self._shows_summary = False
            self._page.set_scanning(len(self._files))

    def remove(self, numbers: list[int]) -> None:
        """Take rows out of the list, unless a conversion counts on them."""
        if self.is_busy:
            return
        self._files.remove(numbers)
        self._shows_summary = False
        self._refresh_list()

    def clear(self) -> None:
        """Empty the list, also of what is still being looked for."""
        if self.is_busy:
            return
        self._start_wanted = False
        self._scanner.forget()
        self._other_files.clear()
        self._last_output = None
        self._shows_summary = False
        self._files.clear()
        self._page.clear_messages()
        self._refresh_list()

    # With what, and where to

    def refresh_models(self) -> None:
        """Offer the models of the library anew."""
        before = self._model
        starter = resources_folder() / STARTER_MODEL
        last = self._settings.last_model
        candidates = [*self._settings.library, starter, *([last] if last else [])]
        if self._model is not None:
            candidates.append(self._model.path)
        readable: dict[Path, ModelInfo] = {}
        for path in candidates:
            if path in readable or (path == starter and not path.exists()):
                continue
            try:
                readable[path] = self._read_model(path)
            except EngineError as error:
                # A training without a save yet, or a disk that is not connected: it comes back by itself.
                logger.info("Not offered for converting: %s", error)
        models = {info.path: info for info in readable.values()}
        if self._model is None or self._model.path not in models:
            preferred = (last, starter, *readable)
            self._model = next((readable[path] for path in preferred if path in readable), None)
        self._page.options.set_models(list(models.values()), self._model.path if self._model else None, starter)
        if self._model != before:
            self._choices_changed()

    def set_model(self, model: Path) -> None:
        """Convert with this model from now on: a file or the folder of a training. A sentence says if it is neither."""
        self._page.clear_messages()
        try:
            info = self._read_model(model)
        except EngineError as error:
            # Not beside the box: that still holds a model that works.
            self._page.show_problem(str(error))
        else:
            self._model = info
            self._settings.last_model = info.path
            self._settings.save()
            self._choices_changed()
        self.refresh_models()

    def set_direction(self, direction: Direction) -> None:
        """Convert in this direction from now on, if the model has it."""
        if self._model is not None and direction not in self._model.directions:
            return
        self._page.clear_messages()
        self._wished_direction = direction
        self._settings.last_direction = direction
        self._settings.save()
        self._choices_changed()

    def set_output_folder(self, folder: Path) -> None:
        """Write results into this folder from now on."""
        self._choose_output(folder)

    @property
    def _direction(self) -> Direction:
        """The direction chosen, or the only one that the model has; the next model may have both again."""
        model = self._model
        if model is None or self._wished_direction in model.directions:
            return self._wished_direction
        return model.directions[0]

    @property
    def output_folder(self) -> Path | None:
        """Where results go; None while nothing is chosen and there is nothing to put them beside."""
        return self._chosen_output or self._output_beside_sources()

    # The conversion

    def start(self) -> None:
        """Convert everything that is not done yet with these settings, once the folders are looked through."""
        if self.is_busy:
            return
        if self._scanner.is_busy:
            self._start_wanted = True
            self._page.set_state("running")
            return
        made_with = self._checked_settings()
        if made_with is None:
            return
        numbers = self._to_do(made_with)
        if numbers:
            self._run(numbers, made_with)
        else:
            self._page.show_nothing_to_convert(len(self._files))

    def retry_failed(self) -> None:
        """Convert only what failed, once more."""
        if self.is_busy or self._scanner.is_busy:
            return
        made_with = self._checked_settings()
        numbers = [number for number, row in enumerate(self._files.rows) if row.state is FileState.FAILED]
        if made_with is not None and numbers:
            self._run(numbers, made_with)

    def stop(self) -> None:
        """Stop after the picture under way; `ended` follows."""
        if self._start_wanted:
            self._start_wanted = False
            self._page.set_state("idle")
        if self._thread is not None:
            self._thread.stop()
            self._page.set_state("stopping")

    def show_comparison(self, index: int) -> None:
        """Show before and after of a row, by its place in the list."""
        self._page.list.select(index)

    def close(self) -> None:
        """Stop everything; nothing comes to the page after this."""
        self._scanner.close()
        if self._thread is not None:
            self._thread.close()

    def _checked_settings(self) -> MadeWith | None:
        """What results would depend on; None after a sentence on the page about what is missing."""
        page, model, to = self._page, self._model, self.output_folder
        page.clear_messages()
        if model is None:
            page.options.show_no_model()
        elif to is None:
            page.show_nothing_to_convert(0)
        elif self._output_is_fine(to):
            return self._made_with_now(model, to)
        else:
            # The sentence stands beside the field already, far from the button that was pressed.
            page.show_problem(page.options.output_problem)
        return None

    def _made_with_now(self, model: ModelInfo, to: Path) -> MadeWith:
        try:
            model_time = model.path.stat().st_mtime_ns
        except OSError:
            model_time = 0  # The converter has the sentence for a model that is gone.
        options = self._page.options
        return MadeWith(
            model.path, model_time, self._direction, to, options.output_format, options.resize_to, self._captions()
        )

    def _to_do(self, made_with: MadeWith) -> list[int]:
        return [
            number
            for number, row in enumerate(self._files.rows)
            if row.state is not FileState.DONE or row.made_with != made_with
        ]

    def _run(self, numbers: list[int], made_with: MadeWith) -> None:
        rows = self._files.rows
        try:
            job = ConvertJob(
                model=made_with.model,
                sources=tuple(rows[number].path for number in numbers),
                to=made_with.to,
                direction=made_with.direction,
                format=made_with.format,
                resize=made_with.resize,
                device=self._page.options.device,
                roots=self._files.roots,
            )
        except ConfigError as error:
            self._page.show_problem(str(error), error.field)
            return
        self._page.set_failed_count(0, can_retry=False)
        for number in numbers:
            if rows[number].state is not FileState.PENDING:
                self._files.set_state(number, FileState.PENDING)
        self._made_with = made_with
        self._numbers = numbers
        self._planned = 0
        self._converted = self._failed = 0
        self._rate = _Rate()
        self._newest = -1
        self._follows = True
        self._last_output = made_with.to

        thread = EngineThread(lambda: self._convert(job), self)
        thread.event.connect(self._on_event)
        thread.stopped.connect(self._on_stopped)
        thread.failed.connect(self._on_failed)
        thread.finished.connect(self._on_finished)
        self._thread = thread
        self._outcome = "done"
        self._failure = None
        self._page.set_can_open_output(False)
        self._page.set_state("running")
        self._page.set_starting()
        self._ticks.start()
        thread.start()
        self.busy_changed.emit(True)

    def _on_event(self, event: ConvertEvent) -> None:
        files = self._files
        match event:
            case Preparing() if not self._planned:
                self._page.set_preparing(event.text, event.done, event.total)
            case Preparing():
                pass  # A large picture is still at work, as its row says; the count of pictures stays in sight.
            case Notice():
                self._page.show_notice(event.text)
            case ConvertPlanned():
                self._take_plan(event)
            case ConvertingFile():
                files.set_state(self._numbers[event.index], FileState.IN_PROGRESS)
            case Converted():
                number = self._numbers[event.index]
                text = " ".join(event.notes)
                files.set_state(number, FileState.DONE, text, event.target, self._made_with)
                self._converted += 1
                self._newest = number
            case FileFailed():
                files.set_state(self._numbers[event.index], FileState.FAILED, event.reason)
                self._failed += 1
            case ConvertFinished():
                pass  # The thread says that it is done, with nothing left to wait for.
            case _:
                assert_never(event)
        self.event.emit(event)

    def _take_plan(self, plan: ConvertPlanned) -> None:
        """From here on events count by the plan's order."""
        self._last_output = plan.to
        self._planned = len(plan.sources)
        numbers = [self._files.number_of(source) for source in plan.sources]
        # A source that the list has not under this name would be one that the engine names otherwise: list it, too,
        # so that every file that is written is shown.
        for place, number in enumerate(numbers):
            if number is None:
                numbers[place] = len(self._files)
                self._files.add([plan.sources[place]], None)
        self._numbers = [number for number in numbers if number is not None]

    def _on_stopped(self) -> None:
        self._outcome = "stopped"

    def _on_failed(self, failure: Failure) -> None:
        self._outcome = "failed"
        self._failure = failure

    def _on_finished(self) -> None:
        thread, self._thread = self._thread, None
        if thread is None:
            return
        thread.wait()
        thread.deleteLater()
        self._ticks.stop()
        not_done = 0
        after = FileState.CANCELED if self._outcome == "stopped" else FileState.PENDING
        for number in self._numbers:
            if self._files.rows[number].state in (FileState.PENDING, FileState.IN_PROGRESS):
                self._files.set_state(number, after)
                not_done += 1
        self._files.update_view()
        self._page.set_state("idle")
        self._shows_summary = True
        self._refresh_list()
        self._page.set_summary(self._converted, self._failed, not_done if self._outcome == "stopped" else 0)
        if self._failure is not None:
            self._page.show_problem(self._failure.message, self._failure.field, self._failure.details)
        self._follow(at_once=True)
        self._refresh_shown()
        self._page.alert()
        logger.info("Conversion %s: %d converted, %d failed", self._outcome, self._converted, self._failed)
        self.busy_changed.emit(False)
        self.ended.emit(self._outcome)

    def _tick(self) -> None:
        """About ten times a second while a conversion runs."""
        if self._planned:
            done = self._converted + self._failed
            rate = self._rate.after(done)
            left = (self._planned - done) / rate if rate else None
            self._page.set_progress(self._converted, self._failed, self._planned, left, rate)
            self._page.set_failed_count(self._files.count(FileState.FAILED), can_retry=False)
        self._follow()
        self._refresh_shown()

    # The pictures on the right

    def _follow(self, *, at_once: bool = False) -> None:
        """Show the newest result now and then, until the user chooses a row."""
        now = time.monotonic()
        if not self._follows or self._newest < 0 or not (at_once or now - self._followed_at > _FOLLOW_SECONDS):
            return
        self._followed_at = now
        self._selecting = True
        self._page.list.select(self._newest)
        self._selecting = False

    def _row_selected(self, number: int) -> None:
        if not self._selecting:
            self._follows = False
        self._selected = number
        self._refresh_shown()

    def _refresh_shown(self) -> None:
        """Show the selected row as it is now."""
        number = self._selected
        if not 0 <= number < len(self._files):
            self._shown = None
            self._page.show_row(None, "", ("", ""))
            return
        row = self._files.rows[number]
        now = (row.path, row.state is FileState.FAILED, row.target)
        if now != self._shown:
            self._shown = now
            captions = row.made_with.captions if row.made_with else self._captions()
            self._page.show_row(row, self._files.shown_name(number), captions)

    def _show_failed_only(self, failed_only: bool) -> None:
        chosen = self._selected
        self._files.set_failed_only(failed_only)
        if self._files.place_of(chosen) is not None:
            self._page.list.select(chosen)
        elif self._files.rowCount():
            self._page.list.select(self._files.number_at(0))

    def _captions(self) -> tuple[str, str]:
        if self._model is None:
            return "", ""
        names = self._model.name_A, self._model.name_B
        return names if self._direction == "a2b" else (names[1], names[0])

    def _open_output(self) -> None:
        if self._last_output is not None:
            self._page.open_folder(self._last_output)

    # Looking for pictures

    def _on_scan_event(self, event: SourceEvent) -> None:
        match event:
            case Found():
                self._files.add(event.pictures, event.root)
                self._shows_summary = False
                self._page.set_count(len(self._files), self._count_other_files())
                if not self.is_busy:
                    self._page.set_scanning(len(self._files))
            case FolderDone():
                self._other_files[event.root] = event.other_files
                if not event.pictures:
                    self._page.show_no_pictures(event.root, event.other_files)
                if event.unreadable:
                    self._page.show_unreadable(event.unreadable)
            case NotThere():
                self._page.show_not_there(event.path, event.reason)
            case NoPictures(files=files):
                self._page.show_not_pictures(files)
            case _:
                assert_never(event)

    def _on_scan_failed(self, failure: Failure) -> None:
        self._page.show_problem(failure.message, failure.field, failure.details)

    def _on_scan_ended(self) -> None:
        self._refresh_list()
        if self._start_wanted:
            self._start_wanted = False
            self._page.set_state("idle")
            self.start()

    def _count_other_files(self) -> int:
        # What lies in two folders that were both added counts once.
        return sum(self._other_files[root] for root in _outermost(self._other_files))

    # The page

    def _open_model(self, model: Path) -> None:
        weights, _ = reference_files([model])
        if weights:
            self.import_requested.emit(weights)
            return
        self.set_model(model)
        used = self._model.path if self._model is not None else None
        known = self._settings.library
        if used in (model, model / MODEL_FILE_NAME) and model not in known and model.parent not in known:
            self._settings.remember_in_library(model)
            self.library_changed.emit()

    def _output_picked(self, text: str) -> None:
        folder = Path(text) if text else None
        with suppress(RuntimeError):  # "~somebody" who has no home here.
            folder = folder.expanduser() if folder else None
        self._choose_output(folder)

    def _choose_output(self, folder: Path | None) -> None:
        self._page.clear_messages()
        self._chosen_output = folder
        self._settings.output_folder = folder
        self._settings.save()
        self._choices_changed()

    def _choices_changed(self) -> None:
        """Show model, direction and output folder as they are, and what there is to do with them."""
        self._page.options.set_direction(self._model, self._direction)
        self._shows_summary = False
        self._refresh_list()
        self._shown = None  # Its captions may have changed.
        self._refresh_shown()

    def _refresh_list(self) -> None:
        """Show how much there is, and where it goes."""
        files, page, to = self._files, self._page, self.output_folder
        page.set_count(len(files), self._count_other_files())
        page.options.set_output(to, chosen=self._chosen_output is not None)
        page.options.clear_output_problem()
        if self.is_busy:
            return
        can_convert = self._model is not None and len(files) > 0
        page.set_can_convert(can_convert)
        page.set_failed_count(files.count(FileState.FAILED), can_retry=True)
        page.set_can_open_output(self._last_output is not None and self._last_output.is_dir())
        if self._scanner.is_busy or self._shows_summary:
            return
        ready = 0
        if self._model is not None and to is not None and self._output_is_fine(to):
            ready = len(self._to_do(self._made_with_now(self._model, to)))
        page.set_ready(ready)

    def _output_is_fine(self, to: Path) -> bool:
        """Whether results can go there; otherwise a sentence stands beside the field."""
        if not to.is_absolute():
            self._page.options.show_not_whole_path()
            return False
        for root in self._files.roots:
            if is_within(to, root):
                self._page.options.show_output_inside(root)
                return False
        return True

    def _output_beside_sources(self) -> Path | None:
        """Such as "Photos - Oranges" beside Photos, or "Oranges" beside single pictures."""
        if not len(self._files):
            return None
        name = _as_file_name(self._captions()[1])
        roots = self._files.roots
        outermost = _outermost(roots)
        if outermost and outermost[0].name:
            beside = outermost[0].parent / f"{outermost[0].name} - {name}"
        else:
            beside = self._files.rows[0].path.parent / name
        if os.access(beside.parent, os.W_OK) and beside.parent not in roots:
            return beside
        pictures = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.PicturesLocation)
        return Path(pictures or Path.home()) / beside.name


class _Rate:
    """Pictures a second lately: over some seconds, or over the last pictures if they take longer."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque()

    def after(self, done: int) -> float | None:
        """The rate now that `done` pictures are done; None while there is nothing to measure."""
        now = time.monotonic()
        if not self._marks or self._marks[-1][1] != done:
            self._marks.append((now, done))
        while len(self._marks) > 2 and now - self._marks[1][0] > _RATE_WINDOW_SECONDS:
            self._marks.popleft()
        (first_time, first_done), (last_time, last_done) = self._marks[0], self._marks[-1]
        return (last_done - first_done) / (last_time - first_time) if last_time > first_time else None


def _outermost(folders: Iterable[Path]) -> list[Path]:
    """Those that lie in none of the others."""
    all_folders = set(folders)
    return [folder for folder in folders if all_folders.isdisjoint(folder.parents)]


def _is_model(path: Path) -> bool:
    return path.suffix.lower() == ".safetensors" or os.path.isfile(path / MODEL_FILE_NAME)  # noqa: PTH113  # Never raises.


def _as_file_name(name: str) -> str:
    """A domain's name as the name of a folder on every system."""
    return re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", name).strip(" .") or "Converted"
