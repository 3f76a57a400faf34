"""Imports models of the reference: it owns the dialog, and the threads that read and write."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from PySide6.QtCore import QCoreApplication, QObject, Qt, Signal

from cyclegan_desktop.engine_thread import Failure
from cyclegan_desktop.free_names import free_path
from cyclegan_desktop.library.import_dialog import ImportChoice, ImportDialog, Recognised
from cyclegan_desktop.library.model_words import architecture_words, directions_words
from cyclegan_desktop.library.page import LibraryPage
from cyclegan_desktop.one_work import OneWork
from cyclegan_desktop.settings import Settings
from cyclegan_desktop.training.threads import LatestWork, ThreadKeeper
from engine.conversion.model_file import ModelInfo

# "horse2zebra", as the reference's own data sets are called; in a path also "horse2zebra_pretrained".
_PAIR: Final = re.compile(r"([A-Za-z]{2,}?)2([A-Za-z]{2,})")

_NETWORK: Final = re.compile(r"(.*net_)[GD]_[AB](\.pth)")


def read_files(files: Sequence[Path]) -> Iterator[Recognised]:
    """What .pth files hold, as work for a thread, since it loads torch."""
    from engine.conversion.exchange import read_reference_files

    found = read_reference_files(files)
    # Without the weights, which the window has no use for.
    yield Recognised(found.files, found.architecture, found.directions, found.has_discriminators)


def import_files(files: Sequence[Path], choice: ImportChoice) -> Iterator[ModelInfo]:
    """Write .pth files as a model of ours, as work for a thread."""
    from engine.conversion.exchange import import_model

    yield import_model(files, names=choice.names, to=choice.to, size=choice.size)


class Importer(QObject):
    """Leads from .pth files to a model on the list, one at a time.

    Signals:
        imported: A model was written: its file.
        convert_requested: The user wants to convert with this model file.
    """

    imported = Signal(object)
    convert_requested = Signal(object)

    def __init__(
        self,
        page: LibraryPage,
        settings: Settings,
        *,
        read: Callable[[Sequence[Path]], Iterator[Recognised]] = read_files,
        write: Callable[[Sequence[Path], ImportChoice], Iterator[ModelInfo]] = import_files,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._page = page
        self._settings = settings
        self._read = read
        self._write = write
        self._files: list[Path] = []
        self._dialog: ImportDialog | None = None
        self._are_names_own = self._is_place_own = False
        self._readers = ThreadKeeper(self)
        self._reading = LatestWork(self._readers, self)
        self._reading.reported.connect(self._take_recognised)
        self._reading.failed.connect(self._take_unreadable)
        self._writing = OneWork(self)
        self._writing.reported.connect(self._take_model)
        self._writing.ended.connect(self._show_outcome)
        self._model: ModelInfo | None = None
        app = QCoreApplication.instance()
        if app is not None:
            app.aboutToQuit.connect(self.close)

    def begin(self, files: Sequence[Path]) -> None:
        """Open the dialog for these files, or put them in place of those that it shows."""
        if self._writing.is_running:
            self._page.messages.add(self.tr("Another model is being imported. Wait a moment, then try again."))
            return
        if self._dialog is None:
            self._open_dialog()
        self._look_at(files)

    def close(self) -> None:
        """End everything; nothing comes to the page after this."""
        self._reading.drop()
        self._readers.stop_all()
        self._writing.close()
        if self._dialog is not None:
            self._dialog.reject()

    def _open_dialog(self) -> None:
        self._own_nothing()
        dialog = ImportDialog(self._page.window())
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.files_chosen.connect(self._look_at)
        dialog.files_added.connect(self._add)
        dialog.names_edited.connect(self._own_names)
        dialog.place_edited.connect(self._own_place)
        dialog.import_requested.connect(self._start)
        dialog.convert_requested.connect(self._convert)
        dialog.finished.connect(self._forget_dialog)
        self._dialog = dialog
        dialog.open()

    def _forget_dialog(self) -> None:
        self._reading.drop()
        self._dialog = None

    # Looking at the files

    def _look_at(self, files: Sequence[Path]) -> None:
        if self._dialog is None or self._writing.is_running:
            return
        self._files = list(dict.fromkeys(files))
        if not self._are_names_own:
            self._dialog.set_names(*suggest_names(self._files))
        self._propose_place()
        self._dialog.show_reading(self._files, files_beside(self._files))
        self._reading.start(partial(self._read, tuple(self._files)))

    def _add(self, files: Sequence[Path]) -> None:
        self._look_at([*self._files, *files])

    def _take_recognised(self, recognised: Recognised) -> None:
        if self._dialog is not None:
            self._dialog.show_recognised(recognised)

    def _take_unreadable(self, failure: Failure) -> None:
        if self._dialog is not None:
            self._dialog.show_unreadable(failure.message)

    def _own_nothing(self) -> None:
        self._are_names_own = self._is_place_own = False

    def _own_names(self) -> None:
        self._are_names_own = True
        self._propose_place()

    def _own_place(self) -> None:
        self._is_place_own = True

    def _propose_place(self) -> None:
        if self._dialog is not None and not self._is_place_own:
            self._dialog.set_place(free_model_file(models_folder(self._settings), *self._dialog.names))

    # Importing

    def _start(self, choice: ImportChoice) -> None:
        if self._dialog is None or self._writing.is_running:
            return
        self._dialog.show_importing()
        self._model = None
        self._writing.start(partial(self._write, tuple(self._files), choice))

    def _take_model(self, info: ModelInfo) -> None:
        self._model = info

    def _show_outcome(self, failure: Failure | None) -> None:
        if failure is not None:
            self._show_failure(failure)
        elif self._model is not None:
            self._show_done(self._model)

    def _show_done(self, info: ModelInfo) -> None:
        self._own_nothing()
        title = self.tr("{a} and {b}").format(a=info.name_A, b=info.name_B)
        facts = self.tr("{architecture}; {directions}.").format(
            architecture=architecture_words(info.architecture, info.name_A, info.name_B),
            directions=directions_words(info.directions, info.name_A, info.name_B),
        )
        if self._dialog is not None:
            self._dialog.show_done(title, facts, info.path)
        self.imported.emit(info.path)

    def _show_failure(self, failure: Failure) -> None:
        if self._dialog is not None:
            self._dialog.show_problem(failure.message, failure.field)
        if self._dialog is None or failure.details:
            self._page.messages.add(failure.message, is_error=True, details=failure.details)

    def _convert(self) -> None:
        if self._model is not None:
            self.convert_requested.emit(self._model.path)


def models_folder(settings: Settings) -> Path:
    """Where imported models go unless the user chooses another place: a folder beside that of the trainings."""
    return settings.runs_folder.parent / "Models"


def free_model_file(folder: Path, name_A: str, name_B: str) -> Path:
    """A file that is not there yet, such as "Horses and Zebras.safetensors"."""
    return free_path(folder, f"{name_A} and {name_B}" if name_A and name_B else "Model", ".safetensors")


def files_beside(files: Sequence[Path]) -> list[Path]:
    """The other networks of the same training: latest_net_G_B.pth for latest_net_G_A.pth, if it is in that folder."""
    found: dict[Path, None] = {}
    for file in files:
        if (name := _NETWORK.fullmatch(file.name)) is not None:
            for network in ("G_A", "G_B", "D_A", "D_B"):
                found[file.with_name(f"{name[1]}{network}{name[2]}")] = None
    return [file for file in found if file not in files and file.is_file()]


def suggest_names(files: Sequence[Path]) -> tuple[str, str]:
    """The names of the domains as far as a file, or the folder around it, tells them ("horse2zebra"); else ""."""
    for file in files[:1]:
        for text in (file.stem, file.parent.name):
            pair = _PAIR.search(text)
            if pair is not None:
                return pair[1].capitalize(), pair[2].capitalize()
    return "", ""
