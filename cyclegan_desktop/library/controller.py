"""What the buttons of the Models page do."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QFile, QObject, QUrl, Signal
from PySide6.QtGui import QDesktopServices

from cyclegan_desktop.engine_thread import Failure
from cyclegan_desktop.library.entries import LibraryEntry, read_library
from cyclegan_desktop.library.exporting import Exporter
from cyclegan_desktop.library.importing import Importer
from cyclegan_desktop.library.page import LibraryPage
from cyclegan_desktop.one_work import OneWork
from cyclegan_desktop.resource_files import resources_folder
from cyclegan_desktop.settings import Settings
from engine.conversion.model_file import read_model_info
from engine.errors import EngineError, RunError
from engine.training.upkeep import About, CleanKind, at_rest, clean_up, write_about
from engine.words import bytes_words

logger = logging.getLogger(__name__)


def starter_model() -> Path:
    """The model that comes with the app; it may be missing in a checkout."""
    return resources_folder() / "starter.safetensors"


class LibraryController(QObject):
    """Lists what the app knows, and passes on what the user wants done with it.

    Signals:
        open_requested: Show the training in this run folder, without going on with it.
        resume_requested: Go on with the training in this run folder.
        convert_requested: Convert with this run folder or model file.
        fine_tune_requested: Begin a new training with the networks of this run folder or model file.
        duplicate_requested: Begin a new training with the settings of this run folder.
        models_changed: The user put a model on the list or took one off.
        imported: A model of the reference was imported, and is on the list and chosen: its file.
    """

    open_requested = Signal(object)
    resume_requested = Signal(object)
    convert_requested = Signal(object)
    fine_tune_requested = Signal(object)
    duplicate_requested = Signal(object)
    models_changed = Signal()
    imported = Signal(object)

    def __init__(
        self,
        page: LibraryPage,
        settings: Settings,
        *,
        reveal: Callable[[Path], object] | None = None,
        trash: Callable[[Path], bool] | None = None,
        importer: Importer | None = None,
        exporter: Exporter | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._page = page
        self._settings = settings
        self._reveal = reveal or show_in_file_manager
        self._trash = trash or move_to_trash
        self._reading = OneWork(self)
        self._reading.reported.connect(self._show)
        self._reading.ended.connect(self._finish)
        self._again = False
        self._listed: list[Path] = []
        self._to_choose: Path | None = None
        self._importer = importer or Importer(page, settings, parent=self)
        self._importer.imported.connect(self._take_imported)
        self._importer.convert_requested.connect(self.convert_requested)
        self._exporter = exporter or Exporter(page, parent=self)
        page.import_requested.connect(self.import_files)
        page.fine_tune_requested.connect(self.fine_tune_requested)
        page.open_requested.connect(self.open_requested)
        page.resume_requested.connect(self.resume_requested)
        page.convert_requested.connect(self.convert_requested)
        page.reveal_requested.connect(self._reveal)
        page.remove_requested.connect(self._remove)
        page.add_requested.connect(self.add)
        page.describe_requested.connect(self._describe)
        page.duplicate_requested.connect(self.duplicate_requested)
        page.clean_up_requested.connect(self._clean_up)
        page.trash_requested.connect(self._move_to_trash)
        self._keeping = OneWork(self)
        self._keeping.reported.connect(self._take_kept)
        self._keeping.ended.connect(self._finish_keeping)
        app = QCoreApplication.instance()
        if app is not None:
            app.aboutToQuit.connect(self.close)

    def refresh(self) -> None:
        """Read the list anew, in a worker thread; the page changes as entries come in."""
        if self._reading.is_running:
            self._again = True
            return
        self._again = False
        self._listed = []
        known, hidden = tuple(self._settings.library), tuple(self._settings.hidden)
        runs_folder = self._settings.runs_folder

        def work() -> Iterator[LibraryEntry]:
            return read_library(known, runs_folder, hidden, starter_model())

        self._reading.start(work)

    def add(self, path: Path) -> None:
        """Put a model file or a run folder on the list; a file that is none is named on the page."""
        try:
            read_model_info(path)
        except EngineError as error:
            self._page.messages.add(str(error), is_error=True)
            return
        self._page.messages.clear()
        self._settings.remember_in_library(path)
        self.models_changed.emit()
        self.refresh()

    def import_files(self, files: list[Path]) -> None:
        """Ask what the user knows of these .pth files, and make a model of them."""
        self._importer.begin(files)

    def close(self) -> None:
        """Stop everything; nothing comes to the page after this."""
        # An import that comes in now is still remembered, and asks for the list once more.
        self._importer.close()
        self._exporter.close()
        self._keeping.close()
        self._again = False
        self._reading.close()

    def _show(self, entry: LibraryEntry) -> None:
        self._listed.append(entry.path)
        self._page.show_entry(entry)

    def _arrange(self) -> None:
        self._page.arrange(self._listed)
        if self._to_choose in self._listed:
            self._page.select(self._to_choose)
            self._to_choose = None

    def _take_imported(self, model: Path) -> None:
        self._settings.remember_in_library(model)
        self._to_choose = model
        self.models_changed.emit()
        self.refresh()
        self.imported.emit(model)

    def _remove(self, path: Path) -> None:
        self._settings.forget_in_library(path)
        self.models_changed.emit()
        self.refresh()

    def _describe(self, run: Path, name: str, note: str) -> None:
        try:
            write_about(run, About(name, note))
        except EngineError as error:
            self._page.messages.add(str(error), is_error=True)
            return
        self.models_changed.emit()
        self.refresh()

    def _clean_up(self, run: Path, kinds: list[CleanKind]) -> None:
        def work() -> Iterator[_Kept]:
            yield _Kept(run, clean_up(run, kinds))

        self._keep(work)

    def _move_to_trash(self, path: Path) -> None:
        def work() -> Iterator[_Kept]:
            # Not moved while it is held: no system moves a file that is locked.
            with at_rest(path) if path.is_dir() else contextlib.nullcontext():
                pass
            if not self._trash(path):
                raise RunError(
                    f"{path} could not be moved to the trash: there is none for its disk, or it may not be written. "
                    "It is as it was; delete it in the file manager."
                )
            yield _Kept(path, None)

        self._keep(work)

    def _keep(self, work: Callable[[], Iterator[_Kept]]) -> None:
        if self._keeping.is_running:
            self._page.messages.add(self.tr("Another training is being cleaned up; try again when that is done."))
        else:
            self._page.messages.clear()
            self._keeping.start(work)

    def _take_kept(self, kept: _Kept) -> None:
        if kept.freed is None:
            self._settings.forget_deleted(kept.path)
            self.models_changed.emit()
            text = self.tr("{name} is in the trash.").format(name=kept.path.name)
        else:
            text = self.tr("{size} freed.").format(size=bytes_words(kept.freed))
        self._page.messages.add(text)

    def _finish_keeping(self, failure: Failure | None) -> None:
        if failure is not None:
            self._page.messages.add(failure.message, is_error=True, details=failure.details)
        self.refresh()

    def _finish(self, failure: Failure | None) -> None:
        if failure is not None:
            self._page.messages.add(failure.message, is_error=True, details=failure.details)
        else:
            self._arrange()
        if self._again:
            self.refresh()


@dataclass(frozen=True, slots=True)
class _Kept:
    """A run that was cleaned up, with the bytes that freed; None for one that is in the trash now."""

    path: Path
    freed: int | None


def move_to_trash(path: Path) -> bool:
    """Move a file or folder to the system's trash; False if that cannot be done, and it is as it was."""
    # Typed as a pair, answered by some versions of PySide as a plain yes or no.
    moved: tuple[bool, str] | bool = QFile.moveToTrash(str(path))
    return moved[0] if isinstance(moved, tuple) else moved


def show_in_file_manager(path: Path) -> None:
    """Open the folder, or the folder of the file, as the system does."""
    folder = path if path.is_dir() else path.parent
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))
