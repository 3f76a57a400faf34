"""Choosing other trainings that the plots show beside the one on the page, and reading them in a thread."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import QDialog, QFileDialog, QHBoxLayout, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from cyclegan_desktop.engine_thread import Failure
from cyclegan_desktop.plain_text import shown_text
from cyclegan_desktop.settings import Settings
from cyclegan_desktop.style import XL, XS, L, M
from cyclegan_desktop.training.loss_history import LossHistory
from cyclegan_desktop.training.other_runs import MOST_OTHERS, OtherRun
from cyclegan_desktop.training.page import TrainingPage
from cyclegan_desktop.training.threads import LatestWork, ThreadKeeper
from cyclegan_desktop.widgets import button, plain_label
from engine.errors import RunError
from engine.training.quality import read_quality
from engine.training.run import read_run_summary
from engine.training.upkeep import read_about

_FOLDER = Qt.ItemDataRole.UserRole


@dataclass(frozen=True, slots=True)
class KnownRun:
    """A training that can be compared with.

    Attributes:
        folder: The run.
        name: What it is called on screen.
        step: Steps taken.
    """

    folder: Path
    name: str
    step: int


class CompareDialog(QDialog):
    """A list of trainings to tick; each tick shows at once.

    Signals:
        chosen_changed: The folders that are ticked now, in the order in which they were ticked.
        folder_chosen: A run that is not on the list.
    """

    chosen_changed = Signal(list)
    folder_chosen = Signal(Path)

    def __init__(self, chosen: Iterable[Path], parent: QWidget | None = None) -> None:
        """Begin with these runs ticked; they are listed as `add_run` brings them."""
        super().__init__(parent)
        self.setObjectName("compare_dialog")
        self.setWindowTitle(self.tr("Compare with other trainings"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._chosen = list(chosen)
        self._list = QListWidget()
        self._list.setObjectName("known_runs")
        self._list.setSpacing(XS)
        self._list.setAccessibleName(self.tr("Trainings to compare with"))
        self._list.itemChanged.connect(self._tick)
        self._hint = plain_label(role="muted", wrap=True)
        self._hint.setObjectName("compare_hint")
        self._problem = plain_label(role="error", wrap=True)
        self._problem.setObjectName("compare_problem")
        self._problem.hide()
        self._is_looking = True
        self._other = button(self.tr("Another &folder..."), "folder-open")
        self._other.clicked.connect(self._ask_for_folder)
        close = button(self.tr("Close"), primary=True)
        close.setDefault(True)
        close.clicked.connect(self.accept)
        buttons = QHBoxLayout()
        buttons.addWidget(self._other)
        buttons.addStretch()
        buttons.addWidget(close)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(XL, L, XL, L)
        layout.setSpacing(M)
        layout.addWidget(
            plain_label(
                self.tr(
                    "Up to {count} trainings are drawn dashed beside this one, with their losses and their quality."
                ).format(count=MOST_OTHERS),
                wrap=True,
            )
        )
        layout.addWidget(self._list, 1)
        layout.addWidget(self._hint)
        layout.addWidget(self._problem)
        layout.addLayout(buttons)
        self.resize(460, 420)
        self._say()

    def add_run(self, run: KnownRun) -> None:
        """Put a run on the list; one that is there already stays as it is."""
        if run.folder in (self._list.item(row).data(_FOLDER) for row in range(self._list.count())):
            return
        item = QListWidgetItem(
            self.tr("{name} ({step:,} steps)").format(name=shown_text(run.name), step=run.step), self._list
        )
        self._list.blockSignals(True)
        item.setData(_FOLDER, run.folder)
        item.setToolTip(shown_text(str(run.folder)))
        item.setFlags(Qt.ItemFlag.ItemIsUserCheckable | Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
        is_chosen = run.folder in self._chosen
        item.setCheckState(Qt.CheckState.Checked if is_chosen else Qt.CheckState.Unchecked)
        self._list.blockSignals(False)
        self._say()

    def set_looked(self) -> None:
        """Every known run has been looked at."""
        self._is_looking = False
        self._say()

    def set_chosen(self, chosen: Iterable[Path]) -> None:
        """Tick these, as was decided elsewhere."""
        self._chosen = list(chosen)
        self._list.blockSignals(True)
        for row in range(self._list.count()):
            item = self._list.item(row)
            is_chosen = item.data(_FOLDER) in self._chosen
            item.setCheckState(Qt.CheckState.Checked if is_chosen else Qt.CheckState.Unchecked)
        self._list.blockSignals(False)
        self._say()

    def show_problem(self, text: str) -> None:
        """Say why a run cannot be shown; "" takes it back."""
        self._problem.setText(text)
        self._problem.setVisible(bool(text))

    def _tick(self, item: QListWidgetItem) -> None:
        folder = item.data(_FOLDER)
        self.show_problem("")
        if item.checkState() != Qt.CheckState.Checked:
            self._chosen = [other for other in self._chosen if other != folder]
        elif folder not in self._chosen:
            if len(self._chosen) == MOST_OTHERS:
                self.set_chosen(self._chosen)
                self.show_problem(
                    self.tr("{count} are shown already. Take one out first.").format(count=MOST_OTHERS),
                )
                return
            self._chosen.append(folder)
        self.chosen_changed.emit(list(self._chosen))

    def _say(self) -> None:
        if self._is_looking:
            text = self.tr("Looking for trainings...")
        elif self._list.count() == 0:
            text = self.tr("No other training is known. Choose the folder of one below, or train another one.")
        else:
            text = ""
        self._hint.setText(text)
        self._hint.setVisible(bool(text))

    def _ask_for_folder(self) -> None:
        dialog = QFileDialog(self, self.tr("Choose the folder of a training"))
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(lambda name: self.folder_chosen.emit(Path(name)))
        dialog.open()


class CompareController(QObject):
    """Keeps the other runs in the plots: lists what is known, reads what is chosen, each in a thread."""

    def __init__(self, page: TrainingPage, settings: Settings, keeper: ThreadKeeper, parent: QObject) -> None:
        super().__init__(parent)
        self._page = page
        self._settings = settings
        self._keeper = keeper
        self._own: Path | None = None
        self._others: dict[Path, OtherRun] = {}
        self._reading: dict[Path, LatestWork] = {}
        self._dialog: CompareDialog | None = None
        self._looking = LatestWork(keeper, self)
        self._looking.reported.connect(self._list_run)
        self._looking.done.connect(self._note_looked)
        self._looking.failed.connect(self._tell)
        page.compare_requested.connect(self.choose)
        page.other_removed.connect(self.remove)

    @property
    def folders(self) -> list[Path]:
        """The runs that are shown beside the own one, and those that are being read."""
        return [*self._others, *self._reading]

    def set_own(self, run: Path | None) -> None:
        """Name the run on the page, which is not compared with itself."""
        self._own = run
        if run is not None:
            self.remove(run)

    def choose(self) -> None:
        """Open the list of runs."""
        if self._dialog is not None:
            self._dialog.raise_()
            return
        self._dialog = dialog = CompareDialog(self.folders, self._page.window())
        dialog.chosen_changed.connect(self.show_runs)
        dialog.folder_chosen.connect(self._add_folder)
        dialog.finished.connect(self._forget_dialog)
        dialog.open()
        known, hidden = list(self._settings.library), set(self._settings.hidden)
        self._looking.start(partial(_known_runs, known, self._settings.runs_folder, hidden, self._own))

    def show_runs(self, folders: list[Path]) -> None:
        """Show these beside the own one, and no others."""
        for folder in [folder for folder in self.folders if folder not in folders]:
            self.remove(folder)
        for folder in folders:
            if folder not in self.folders:
                self._read(folder)

    def remove(self, folder: Path) -> None:
        """Take a run out of the comparison."""
        work = self._reading.pop(folder, None)
        if work is not None:
            work.drop()
            work.deleteLater()
        if self._others.pop(folder, None) is not None:
            self._page.set_other_runs(list(self._others.values()))
        if self._dialog is not None:
            self._dialog.set_chosen(self.folders)

    def _read(self, folder: Path) -> None:
        work = LatestWork(self._keeper, self)
        work.reported.connect(self._show)
        work.failed.connect(partial(self._give_up, folder))
        self._reading[folder] = work
        work.start(partial(_read_run, folder, self._settings.plot_smoothing))

    def _show(self, other: object) -> None:
        if isinstance(other, OtherRun) and other.folder in self._reading:
            self._reading.pop(other.folder).deleteLater()
            self._others[other.folder] = other
            self._page.set_other_runs(list(self._others.values()))

    def _give_up(self, folder: Path, failure: Failure) -> None:
        self.remove(folder)
        self._tell(failure)

    def _add_folder(self, folder: Path) -> None:
        if folder == self._own or folder in self.folders or self._dialog is None:
            return
        if len(self.folders) == MOST_OTHERS:
            self._dialog.show_problem(
                self.tr("{count} are shown already. Take one out first.").format(count=MOST_OTHERS)
            )
            return
        try:
            run = _known(folder)
        except RunError as error:
            self._dialog.show_problem(str(error))
            return
        self._dialog.show_problem("")
        self._read(folder)
        self._dialog.set_chosen(self.folders)
        self._dialog.add_run(run)

    def _list_run(self, run: object) -> None:
        if self._dialog is not None and isinstance(run, KnownRun):
            self._dialog.add_run(run)

    def _note_looked(self) -> None:
        if self._dialog is not None:
            self._dialog.set_looked()

    def _tell(self, failure: Failure) -> None:
        if self._dialog is not None:
            self._dialog.show_problem(failure.message)
        else:
            self._page.messages.add(failure.message, is_error=True, details=failure.details)

    def _forget_dialog(self) -> None:
        self._dialog = None
        self._looking.drop()


def _known_runs(known: list[Path], runs_folder: Path, hidden: set[Path], own: Path | None) -> Iterator[KnownRun]:
    """Every run that the app knows but the own one."""
    try:
        found = sorted(path for path in runs_folder.iterdir() if path not in hidden)
    except OSError:
        found = []
    for folder in dict.fromkeys([*known, *found]):
        if folder == own:
            continue
        try:
            yield _known(folder)
        except RunError:
            continue  # A model file, or something else.


def _known(folder: Path) -> KnownRun:
    return KnownRun(folder, read_about(folder).name or folder.name, read_run_summary(folder).step)


def _read_run(folder: Path, smoothing: float) -> Iterator[OtherRun]:
    run = _known(folder)
    yield OtherRun(folder, run.name, LossHistory.read(folder, smoothing), tuple(read_quality(folder)))
