"""Saves the film of a training as an animated picture: the dialog, and the thread that writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from PySide6.QtCore import QObject, Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QDialog, QFileDialog, QFormLayout, QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from cyclegan_desktop.engine_thread import Failure
from cyclegan_desktop.free_names import free_path
from cyclegan_desktop.library.file_dialogs import choose_new_file
from cyclegan_desktop.one_work import OneWork
from cyclegan_desktop.plain_text import shown_paragraph, shown_text
from cyclegan_desktop.style import L, M, S
from cyclegan_desktop.training.film_strip import SPEEDS, FilmStrip, PictureKey
from cyclegan_desktop.training.film_work import ExportFilm
from cyclegan_desktop.widgets import NoWheelComboBox, button, plain_label, set_look
from engine.config import Direction
from engine.events import Preparing, Sample

_SUFFIXES: Final = (".webp", ".gif", ".png")


@dataclass(frozen=True, slots=True)
class FilmChoice:
    """What a film is to show, and how.

    Attributes:
        suffix: ".webp", ".gif" or ".png".
        direction: Only pictures of this direction; None for both.
        source: Only this picture; None for all.
        moments_per_second: How fast it is played.
    """

    suffix: str
    direction: Direction | None
    source: Path | None
    moments_per_second: float


class FilmExportDialog(QDialog):
    """Asks what the film shows and where it goes, and then tells how far it is.

    Signals:
        export_asked: A `FilmChoice`, and the file to write.
        cancel_asked: What is being written is not wanted any more.
    """

    export_asked = Signal(object, Path)
    cancel_asked = Signal()

    def __init__(
        self,
        folder: Path,
        pictures: Sequence[tuple[str, Direction | None, Path | None]],
        chosen: int,
        count: int,
        parent: QWidget | None = None,
    ) -> None:
        """Ask.

        Args:
            folder: The run, beside which the file is proposed.
            pictures: What can be shown: the words, the direction and the picture.
            chosen: Which of these is proposed.
            count: Moments of the film.
            parent: The window.
        """
        super().__init__(parent)
        self.setObjectName("film_export_dialog")
        self.setWindowTitle(self.tr("Export the film"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._folder = folder
        self._pictures = list(pictures)
        self._count = count
        self._written: Path | None = None
        self._is_writing = False
        self._format = self._box("film_format", self.tr("Format"))
        self._format.addItems(
            [
                self.tr("WebP: small and in full colour, for browsers and chats"),
                self.tr("GIF: for everything, in 256 colours"),
                self.tr("PNG: exact and large, for browsers"),
            ]
        )
        self._picture = self._box("film_picture", self.tr("Pictures"))
        self._picture.addItems([shown_text(words) for words, _, _ in self._pictures])
        self._picture.setCurrentIndex(chosen)
        self._speed = self._box("film_export_speed", self.tr("Speed"))
        for speed in SPEEDS:
            self._speed.addItem(
                self.tr("{speed:g} moments a second ({seconds} s in all)").format(
                    speed=speed, seconds=max(1, round(count / speed))
                )
            )
        self._speed.setCurrentIndex(1)
        form = QFormLayout()
        form.setSpacing(S)
        for words, box in (
            (self.tr("&Format"), self._format),
            (self.tr("&Pictures"), self._picture),
            (self.tr("&Speed"), self._speed),
        ):
            label = plain_label(words)
            label.setBuddy(box)
            form.addRow(label, box)
        self._choices = QWidget()
        self._choices.setLayout(form)
        form.setContentsMargins(0, 0, 0, 0)
        self._progress = QProgressBar()
        self._progress.setObjectName("film_export_progress")
        self._progress.setTextVisible(False)
        self._progress.setAccessibleName(self.tr("Progress of the export"))
        self._words = plain_label("", wrap=True)
        self._words.setObjectName("film_export_words")
        self._words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._open = button(self.tr("&Open folder"), "folder-open")
        self._open.setObjectName("film_export_open")
        self._open.clicked.connect(self._open_folder)
        self._save = button(self.tr("&Save as..."), "save", primary=True)
        self._save.setObjectName("film_export_save")
        self._save.setDefault(True)
        self._save.clicked.connect(self._ask_where)
        self._close = button(self.tr("Close"))
        self._close.setObjectName("film_export_close")
        self._close.clicked.connect(self.reject)
        foot = QHBoxLayout()
        foot.setSpacing(S)
        foot.addWidget(self._open)
        foot.addStretch(1)
        foot.addWidget(self._close)
        foot.addWidget(self._save)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(L, L, L, L)
        layout.setSpacing(M)
        layout.addWidget(self._choices)
        layout.addWidget(self._progress)
        layout.addWidget(self._words)
        layout.addStretch(1)
        layout.addLayout(foot)
        self._progress.hide()
        self._open.hide()
        self.resize(520, 240)
        self._say(self.tr("The film has {count:,} moments.").format(count=count))

    @property
    def choice(self) -> FilmChoice:
        """What is chosen."""
        _, direction, source = self._pictures[self._picture.currentIndex()]
        return FilmChoice(_SUFFIXES[self._format.currentIndex()], direction, source, SPEEDS[self._speed.currentIndex()])

    def show_writing(self, done: int = 0, total: int = 0) -> None:
        """Say that the film is being written, and how far it is; a total of 0 where that is not known."""
        self._set_writing(True)
        self._progress.setRange(0, total)
        self._progress.setValue(done)
        self._say(self.tr("Writing the film..."))

    def show_written(self, path: Path) -> None:
        """Say where the film is."""
        self._set_writing(False)
        self._written = path
        self._open.show()
        self._say(self.tr("The film is written: {path}").format(path=path))

    def show_failed(self, text: str) -> None:
        """Say why there is no film."""
        self._set_writing(False)
        self._say(text, is_error=True)

    def show_cancelled(self) -> None:
        """Say that there is no film, as was wanted."""
        self._set_writing(False)
        self._say(self.tr("Cancelled; nothing was written."))

    def reject(self) -> None:
        """Cancel what is being written, or close."""
        if self._is_writing:
            self._close.setEnabled(False)
            self._say(self.tr("Cancelling..."))
            self.cancel_asked.emit()
        else:
            super().reject()

    def _set_writing(self, writing: bool) -> None:
        self._is_writing = writing
        self._choices.setEnabled(not writing)
        self._save.setEnabled(not writing)
        self._progress.setVisible(writing)
        self._close.setEnabled(True)
        self._close.setText(self.tr("Cancel") if writing else self.tr("Close"))
        if writing:
            self._open.hide()

    def _say(self, text: str, *, is_error: bool = False) -> None:
        set_look(self._words, "role", "error" if is_error else "muted")
        self._words.setText(shown_paragraph(text))

    def _ask_where(self) -> None:
        choice = self.choice
        name = self._folder.name + (f" {choice.source.stem}" if choice.source is not None else "")
        dialog = QFileDialog(self, self.tr("Export the film"))
        dialog.setObjectName("film_file_dialog")
        place = self._folder.parent
        dialog.setDirectory(str(place))
        kinds = self.tr("Animated pictures (*{suffix})").format(suffix=choice.suffix)
        proposed = free_path(place, self.tr("{name} film").format(name=name), choice.suffix)
        choose_new_file(dialog, proposed.name, kinds, choice.suffix[1:]).fileSelected.connect(self._export_to)

    def _export_to(self, name: str) -> None:
        if name:
            self.export_asked.emit(self.choice, Path(name))

    def _open_folder(self) -> None:
        if self._written is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._written.parent)))

    def _box(self, name: str, words: str) -> NoWheelComboBox:
        made = NoWheelComboBox()
        made.setObjectName(name)
        made.setAccessibleName(words)
        # Long file names are cut, they do not widen the window.
        made.setSizeAdjustPolicy(NoWheelComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        made.setMinimumContentsLength(30)
        return made


class FilmExporter(QObject):
    """Owns the thread that writes a film, and its dialog."""

    def __init__(self, strip: FilmStrip, export: ExportFilm, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._strip = strip
        self._export = export
        self._run: Path | None = None
        self._to: Path | None = None
        self._is_cancelled = False
        self._dialog: FilmExportDialog | None = None
        self._writing = OneWork(self)
        self._writing.reported.connect(self._take)
        self._writing.ended.connect(self._finish)

    def open(self, run: Path, samples: Sequence[Sample], chosen: PictureKey | None, count: int) -> None:
        """Ask what to export.

        Args:
            run: The run.
            samples: Its fixed pictures, as they are shown now.
            chosen: The one that is looked at, None for all.
            count: Moments of the film.
        """
        if self._dialog is not None:
            self._dialog.raise_()
            return
        self._run = run
        pictures = self._pictures(samples)
        keys = [(direction, str(source)) for _, direction, source in pictures]
        self._dialog = FilmExportDialog(
            run, pictures, keys.index(chosen) if chosen in keys else 0, count, self._strip.window()
        )
        self._dialog.export_asked.connect(self._start)
        self._dialog.cancel_asked.connect(self._cancel)
        self._dialog.finished.connect(self._forget)
        self._dialog.open()

    def close(self) -> None:
        """Cancel what is being written and close the dialog."""
        self._is_cancelled = True
        self._writing.close()
        if self._dialog is not None:
            self._dialog.close()

    def _pictures(self, samples: Sequence[Sample]) -> list[tuple[str, Direction | None, Path | None]]:
        strip = self._strip
        directions = list(dict.fromkeys(sample.direction for sample in samples))
        offered: list[tuple[str, Direction | None, Path | None]] = [
            (self.tr("All pictures, both directions"), None, None)
        ]
        for direction in directions:
            words = self.tr("All pictures, {direction}").format(direction=strip.direction_name(direction))
            offered.append((words, direction, None))
        for sample in samples:
            words = self.tr("{direction}: {file}").format(
                direction=strip.direction_name(sample.direction), file=sample.source.name
            )
            offered.append((words, sample.direction, sample.source))
        return offered

    def _start(self, choice: FilmChoice, to: Path) -> None:
        if self._dialog is None or self._run is None or self._writing.is_running:
            return
        self._to, self._is_cancelled = to, False
        self._dialog.show_writing()
        self._writing.start(
            partial(
                self._export,
                self._run,
                choice.source,
                to,
                direction=choice.direction,
                moments_per_second=choice.moments_per_second,
            )
        )

    def _cancel(self) -> None:
        self._is_cancelled = True
        self._writing.stop()

    def _take(self, event: object) -> None:
        if self._dialog is not None and isinstance(event, Preparing):
            self._dialog.show_writing(event.done, event.total)

    def _finish(self, failure: Failure | None) -> None:
        if self._dialog is None or self._to is None:
            return
        if failure is not None:
            self._dialog.show_failed(failure.message)
        elif self._is_cancelled:
            self._dialog.show_cancelled()
        else:
            self._dialog.show_written(self._to)

    def _forget(self) -> None:
        self._dialog = None
