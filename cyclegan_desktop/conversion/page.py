"""The Convert page: what to convert, with which model, where to; the list, and before and after."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from PySide6.QtCore import Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import (
    QApplication,
    QCheckBox,
    QFileDialog,
    QHBoxLayout,
    QProgressBar,
    QSizePolicy,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from cyclegan_desktop.conversion.compare import Comparison
from cyclegan_desktop.conversion.drop_area import DropArea
from cyclegan_desktop.conversion.file_list import FileList, FileRow, FileState
from cyclegan_desktop.conversion.options import ConversionOptions
from cyclegan_desktop.messages import MessageArea
from cyclegan_desktop.plain_text import shown_text
from cyclegan_desktop.style import XS, L, M, S
from cyclegan_desktop.widgets import button, dress_button, plain_label
from cyclegan_desktop.words import duration_words
from engine.data.folders import PICTURE_SUFFIXES

PageState: TypeAlias = Literal["idle", "running", "stopping"]


class ConversionPage(QWidget):
    """The Convert page. It shows and asks; `ConversionController` decides.

    Signals:
        paths_added: Files and folders to convert, as a list of paths.
        remove_requested: Numbers of the rows to take out of the list.
        clear_requested: The list is to be emptied.
        row_selected: Number of the row whose pictures are to be shown, -1 for none.
        failed_only_changed: Whether only failures are to be listed.
        convert_requested: Begin.
        cancel_requested: Stop.
        retry_requested: Try the failed ones again.
        open_output_requested: Show the output folder in the file manager.
    """

    paths_added = Signal(list)
    remove_requested = Signal(list)
    clear_requested = Signal()
    row_selected = Signal(int)
    failed_only_changed = Signal(bool)
    convert_requested = Signal()
    cancel_requested = Signal()
    retry_requested = Signal()
    open_output_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("conversion_page")
        self._state: PageState = "idle"

        self.list = FileList()
        self.comparison = Comparison()
        self.options = ConversionOptions()
        self.drop_area = DropArea(self._make_contents())
        self.messages = MessageArea()
        bar = self._make_bar()

        layout = QVBoxLayout(self)
        layout.setContentsMargins(L, L, L, L)
        layout.setSpacing(M)
        layout.addWidget(self.options)
        layout.addWidget(self.drop_area, 1)
        layout.addWidget(self.messages)
        layout.addWidget(bar)

        self.drop_area.dropped.connect(self.paths_added)
        self.drop_area.files_asked.connect(self.pick_files)
        self.drop_area.folder_asked.connect(self.pick_folder)
        self.list.row_selected.connect(self.row_selected)
        self.list.remove_requested.connect(self.remove_requested)
        self.comparison.step_asked.connect(self.list.step)
        self.setFocusProxy(self.options)
        self.clear_messages()
        self.set_state("idle")
        self.set_idle_status("")

    # What is shown

    def set_state(self, state: PageState) -> None:
        """Let the one button and everything else follow what the worker does."""
        self._state = state
        text, icon_name = {
            "idle": (self.tr("Con&vert"), "convert"),
            "running": (self.tr("&Cancel"), "stop"),
            "stopping": (self.tr("Stopping..."), "clock"),
        }[state]
        self._convert.setText(text)
        dress_button(self._convert, icon_name, primary=state == "idle")
        self.options.setEnabled(state == "idle")
        self._clear.setEnabled(state == "idle")
        self._convert.setEnabled(state != "stopping")

    def set_can_convert(self, can_convert: bool) -> None:
        """Whether there is anything to convert; only looked at while idle."""
        if self._state == "idle":
            self._convert.setEnabled(can_convert)

    def set_count(self, pictures: int, other_files: int) -> None:
        """Say how much is in the list, and how many files of the folders are no pictures."""
        self.drop_area.set_inviting(pictures == 0)
        self._count.setText(self._pictures(pictures))
        self._others.setVisible(other_files > 0)
        self._others.setText(
            self.tr("1 other file left alone")
            if other_files == 1
            else self.tr("{0} other files left alone").format(f"{other_files:,}")
        )

    def set_failed_count(self, failed: int, *, can_retry: bool) -> None:
        """Offer what can be done about failures."""
        self._failed_only.setVisible(failed > 0)
        self._failed_only.setText(self.tr("Show failed o&nly ({0})").format(f"{failed:,}"))
        if not failed and self._failed_only.isChecked():
            self._failed_only.setChecked(False)
        self._retry.setVisible(failed > 0 and can_retry)

    def set_can_open_output(self, can_open: bool) -> None:
        """Whether there is a folder of results to look at."""
        self._open.setVisible(can_open)

    def set_scanning(self, found: int) -> None:
        """Folders are being looked through; the list holds `found` pictures so far."""
        self._status.setText(self.tr("Looking for pictures, {0} found").format(f"{found:,}"))
        self._show_progress(0, 0)

    def set_starting(self) -> None:
        """A conversion was asked for, and nothing is known of it yet."""
        self._status.setText(self.tr("Starting"))
        self._show_progress(0, 0)

    def set_preparing(self, text: str, done: int, total: int) -> None:
        """A phase before the first picture, as the engine words it."""
        self._status.setText(shown_text(text))
        self._show_progress(done, total)

    def set_progress(
        self, converted: int, failed: int, total: int, seconds_left: float | None, rate: float | None
    ) -> None:
        """How far the conversion is.

        Args:
            converted: Pictures done.
            failed: Pictures that could not be converted.
            total: Pictures of this conversion.
            seconds_left: None while it is not known.
            rate: Pictures a second, None while it is not known.
        """
        parts = [self.tr("Converted {0} of {1}").format(f"{converted:,}", f"{total:,}")]
        if failed:
            parts.append(self.tr("{0} failed").format(f"{failed:,}"))
        if self._state == "stopping":
            parts.append(self.tr("stopping after this picture"))
        elif seconds_left is not None and rate:
            parts.append(self.tr("{0} left").format(duration_words(seconds_left)))
            parts.append(
                self.tr("{0} pictures/s").format(f"{rate:.1f}")
                if rate >= 1
                else self.tr("{0} s a picture").format(f"{1 / rate:.1f}")
            )
        self._status.setText("  \N{MIDDLE DOT}  ".join(parts))
        self._show_progress(converted + failed, total)

    def set_idle_status(self, text: str) -> None:
        """Nothing is going on."""
        self._status.setText(text)
        self._progress.hide()

    def set_ready(self, pictures: int) -> None:
        """Everything is there to begin with."""
        self.set_idle_status(self.tr("Ready to convert {0}").format(self._pictures(pictures)) if pictures else "")

    def set_summary(self, converted: int, failed: int, not_done: int) -> None:
        """What came of a conversion: pictures converted, failed, and not tried because it was stopped."""
        parts = [self.tr("{0} converted").format(f"{converted:,}")]
        if failed:
            parts.append(self.tr("{0} failed").format(f"{failed:,}"))
        if not_done:
            parts.append(self.tr("{0} canceled").format(f"{not_done:,}"))
        self._status.setText("  \N{MIDDLE DOT}  ".join(parts))
        self._progress.hide()

    def show_row(self, row: FileRow | None, name: str, captions: tuple[str, str]) -> None:
        """Show the pictures of a row.

        Args:
            row: The row, None for none.
            name: Its name in the list.
            captions: What a picture shows before and after.
        """
        if row is None:
            self.comparison.show_nothing()
        elif row.state is FileState.FAILED:
            self.comparison.show_problem(name, self.tr("This picture could not be converted"), row.text)
        else:
            self.comparison.show_files(name, row.path, row.target, captions, row.text)

    # Messages: beside what they are about

    def clear_messages(self) -> None:
        """Take back every sentence about what went wrong."""
        self.options.clear_problems()
        self.messages.clear()

    def show_problem(self, text: str, field: str = "", details: str = "") -> None:
        """Say what went wrong, beside the setting that it is about.

        Args:
            text: One or more whole sentences.
            field: A field of `ConvertJob`, or "".
            details: What to hand on to the makers of the app, or "".
        """
        if not self.options.show_problem(text, field):
            self.messages.add(text, is_error=True, details=details)

    def show_notice(self, text: str) -> None:
        """Say something that the user should know, below what was said before."""
        self.messages.add(text)

    def show_nothing_to_convert(self, pictures: int) -> None:
        """Convert was asked for without pictures, or with pictures that are all done."""
        if not pictures:
            self.show_problem(self.tr("Add pictures or folders first."))
            return
        self.show_notice(
            self.tr(
                "These pictures are converted already. Choose another model, direction, output folder, format or size, "
                "or add pictures. To convert the same ones once more, clear the list and add them again."
            )
        )

    def show_not_there(self, path: Path, reason: str) -> None:
        """Something that was added cannot be used."""
        self.show_notice(
            reason or self.tr("{0} is not there. Check its name, and that its disk is connected.").format(path)
        )

    def show_not_pictures(self, files: Sequence[Path]) -> None:
        """Files that were added by themselves are no pictures."""
        more = len(files) - 1
        text = (
            self.tr("{0} and 1 other file are no pictures that can be converted.").format(files[0].name)
            if more == 1
            else self.tr("{0} and {1} other files are no pictures that can be converted.").format(
                files[0].name, f"{more:,}"
            )
            if more
            else self.tr("{0} is no picture that can be converted.").format(files[0].name)
        )
        self.show_notice(text + " " + self.tr("Add pictures such as JPEG, PNG, WebP or TIFF."))

    def show_no_pictures(self, folder: Path, other_files: int) -> None:
        """A folder that was added holds no pictures."""
        self.show_notice(
            self.tr("{0} holds no pictures.").format(folder)
            if not other_files
            else self.tr("{0} holds no pictures, only other files ({1}).").format(folder, f"{other_files:,}")
        )

    def show_unreadable(self, folders: Sequence[Path]) -> None:
        """Folders below one that was added could not be looked into."""
        text = self.tr("{0} cannot be looked into, so its pictures are left out.").format(folders[0])
        if len(folders) > 1:
            text += " " + self.tr("So it is with {0} other folders.").format(len(folders) - 1)
        self.show_notice(text)

    def open_folder(self, folder: Path) -> None:
        """Show a folder in the file manager."""
        if not QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder))):
            self.show_notice(self.tr("The results are in {0}.").format(folder))

    def alert(self) -> None:
        """Let the window's place in the task bar say that a conversion has ended, if the user is elsewhere."""
        if not self.window().isActiveWindow():
            QApplication.alert(self.window())

    # Picking

    def pick_files(self) -> None:
        """Ask for pictures."""
        endings = " ".join(f"*{suffix} *{suffix.upper()}" for suffix in sorted(PICTURE_SUFFIXES))
        dialog = QFileDialog(
            self,
            self.tr("Choose pictures to convert"),
            "",
            self.tr("Pictures ({0});;All files (*)").format(endings),
        )
        dialog.setFileMode(QFileDialog.FileMode.ExistingFiles)
        dialog.filesSelected.connect(lambda files: self.paths_added.emit([Path(file) for file in files]))
        self._open_dialog(dialog)

    def pick_folder(self) -> None:
        """Ask for a folder of pictures."""
        dialog = QFileDialog(self, self.tr("Choose a folder of pictures to convert"))
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.filesSelected.connect(lambda files: self.paths_added.emit([Path(file) for file in files]))
        self._open_dialog(dialog)

    def _open_dialog(self, dialog: QFileDialog) -> None:
        # Not exec: an event loop within an event loop would let everything else happen inside a click.
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()

    # How it is made

    def _make_contents(self) -> QWidget:
        add_files = button(self.tr("Add f&iles"), "add-file")
        add_files.setObjectName("convert_add_files")
        add_files.clicked.connect(self.pick_files)
        add_folder = button(self.tr("&Add folder"), "add-folder")
        add_folder.setObjectName("convert_add_folder")
        add_folder.clicked.connect(self.pick_folder)
        self._clear = button(self.tr("Clea&r"), "clear")
        self._clear.setObjectName("convert_clear")
        self._clear.clicked.connect(self.clear_requested)
        self._count = plain_label(role="heading")
        self._count.setObjectName("convert_count")
        self._others = plain_label(role="muted")
        self._others.setObjectName("convert_others")
        self._failed_only = QCheckBox()
        self._failed_only.setObjectName("convert_failed_only")
        self._failed_only.toggled.connect(self.failed_only_changed)

        tools = QHBoxLayout()
        tools.setSpacing(S)
        for tool in (add_files, add_folder, self._clear):
            tools.addWidget(tool)
        tools.addStretch()
        counts = QHBoxLayout()
        counts.setSpacing(M)
        counts.addWidget(self._count)
        counts.addWidget(self._others)
        counts.addStretch()
        counts.addWidget(self._failed_only)
        left = QWidget()
        lines = QVBoxLayout(left)
        lines.setContentsMargins(0, 0, 0, 0)
        lines.setSpacing(S)
        lines.addLayout(tools)
        lines.addWidget(self.list, 1)
        lines.addLayout(counts)

        splitter = QSplitter(Qt.Orientation.Horizontal)
        splitter.setObjectName("convert_splitter")
        splitter.setHandleWidth(M)
        splitter.setChildrenCollapsible(False)
        splitter.addWidget(left)
        splitter.addWidget(self.comparison)
        splitter.setStretchFactor(0, 2)
        splitter.setStretchFactor(1, 3)
        splitter.setSizes([440, 660])
        return splitter

    def _make_bar(self) -> QWidget:
        self._status = plain_label()
        self._status.setObjectName("convert_status")
        self._progress = QProgressBar()
        self._progress.setObjectName("convert_progress")
        self._progress.setTextVisible(False)
        self._progress.setAccessibleName(self.tr("Progress of the conversion"))
        self._retry = button(self.tr("Retr&y failed"), "convert")
        self._retry.setObjectName("convert_retry")
        self._retry.clicked.connect(self.retry_requested)
        self._open = button(self.tr("Open o&utput folder"), "folder-open")
        self._open.setObjectName("convert_open_output")
        self._open.clicked.connect(self.open_output_requested)
        self._convert = button("", "convert", primary=True)
        self._convert.setObjectName("convert_button")
        self._convert.setMinimumWidth(128)
        self._convert.clicked.connect(self._convert_pressed)
        for offer in (self._retry, self._open):
            offer.hide()

        progress = QVBoxLayout()
        progress.setSpacing(XS)
        progress.addStretch()
        progress.addWidget(self._status)
        progress.addWidget(self._progress)
        progress.addStretch()
        bar = QWidget()
        bar.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        layout = QHBoxLayout(bar)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(S)
        layout.addLayout(progress, 1)
        layout.addSpacing(S)
        layout.addWidget(self._retry)
        layout.addWidget(self._open)
        layout.addWidget(self._convert)
        return bar

    # What happens

    def _convert_pressed(self) -> None:
        if self._state == "running":
            self.cancel_requested.emit()
        elif self._state == "idle":
            self.options.commit_output()
            self.convert_requested.emit()

    def _show_progress(self, done: int, total: int) -> None:
        self._progress.setRange(0, total)
        self._progress.setValue(done)
        self._progress.show()

    def _pictures(self, count: int) -> str:
        return self.tr("1 picture") if count == 1 else self.tr("{0} pictures").format(f"{count:,}")
