"""The Convert page: what to convert, with which model, where to; the list, and before and after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Literal, TypeAlias

from PySide6.QtCore import QSignalBlocker, Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QFocusEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QApplication,
    QCheckBox,
    QFileDialog,
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QSplitter,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from cyclegan_desktop.conversion.batches import Progress
from cyclegan_desktop.conversion.drop_area import DropArea
from cyclegan_desktop.conversion.file_list import FileList, FileRow, FileState
from cyclegan_desktop.conversion.offer import Offer
from cyclegan_desktop.conversion.options import ConversionOptions
from cyclegan_desktop.conversion.queue_panel import QueuePanel
from cyclegan_desktop.free_names import free_path
from cyclegan_desktop.icons import icon
from cyclegan_desktop.messages import MessageArea
from cyclegan_desktop.plain_text import shown_text
from cyclegan_desktop.review.compare import Comparison
from cyclegan_desktop.style import XS, L, M, S
from cyclegan_desktop.widgets import button, dress_button, plain_label
from cyclegan_desktop.words import duration_words
from engine.data.folders import PICTURE_SUFFIXES, VIDEO_SUFFIXES, video_sentence

_MOST_NAMED: Final = 3
PageState: TypeAlias = Literal["idle", "looking", "waiting", "held", "running", "pausing", "paused", "stopping"]
"""What becomes of the batch that is shown: "looking" begins once its folders are looked through, "waiting" is behind
another, "held" waits although nothing runs."""


class ConversionPage(QWidget):
    """The Convert page: one batch, and a list of all while there are several. `ConversionController` decides.

    Signals:
        paths_added: Files and folders to convert, as a list of paths.
        remove_requested: Numbers of the rows to take out of the list.
        clear_requested: The list is to be emptied.
        row_selected: Number of the row whose pictures are to be shown, -1 for none.
        failed_only_changed: Whether only failures are to be listed.
        mark_requested: Numbers of the rows to mark, or to take the marks from if all are marked.
        redo_requested: The marked rows are to be converted in another way.
        convert_requested: Begin.
        pause_requested: Stop for now.
        resume_requested: Go on.
        cancel_requested: Stop for good.
        retry_requested: Try the failed ones again.
        open_output_requested: Show the output folder in the file manager.
        report_asked: A report is to be written.
        report_requested: A report is to be written into this folder.
        new_requested: A new batch.
    """

    paths_added = Signal(list)
    remove_requested = Signal(list)
    clear_requested = Signal()
    row_selected = Signal(int)
    failed_only_changed = Signal(bool)
    mark_requested = Signal(list)
    redo_requested = Signal()
    convert_requested = Signal()
    pause_requested = Signal()
    resume_requested = Signal()
    cancel_requested = Signal()
    retry_requested = Signal()
    open_output_requested = Signal()
    report_asked = Signal()
    report_requested = Signal(object)
    new_requested = Signal()

    def __init__(
        self,
        comparison: Comparison | None = None,
        options: ConversionOptions | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("conversion_page")
        self._state: PageState = "idle"

        self.list = FileList()
        self.comparison = comparison or Comparison()
        self.options = options or ConversionOptions()
        self.drop_area = DropArea(self._make_contents())
        self.queue = QueuePanel()
        self.unfinished = Offer("unfinished_offer")
        self.offer = Offer("convert_offer")
        self.space = MessageArea()
        self.space.setObjectName("space_message")
        self.messages = MessageArea()
        bar = self._make_bar()

        layout = QVBoxLayout(self)
        layout.setContentsMargins(L, L, L, L)
        layout.setSpacing(M)
        layout.addWidget(self.options)
        layout.addWidget(self.drop_area, 1)
        layout.addWidget(self.queue)
        for message in (self.unfinished, self.offer, self.space, self.messages):
            layout.addWidget(message)
        layout.addWidget(bar)

        self.drop_area.dropped.connect(self.paths_added)
        self.drop_area.files_asked.connect(self.pick_files)
        self.drop_area.folder_asked.connect(self.pick_folder)
        self.list.row_selected.connect(self.row_selected)
        self.list.remove_requested.connect(self.remove_requested)
        self.list.mark_requested.connect(self.mark_requested)
        self.comparison.step_asked.connect(self.list.step)
        self.comparison.mark_asked.connect(self._mark_shown)
        self.queue.new_asked.connect(self.new_requested)
        new = QShortcut(QKeySequence(QKeySequence.StandardKey.New), self)
        new.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        new.activated.connect(self.new_requested)
        app = QApplication.instance()
        assert isinstance(app, QApplication)
        app.focusChanged.connect(self._keep_focus)
        app.aboutToQuit.connect(self.comparison.stop)
        self.clear_messages()
        self.set_state("idle")
        self.set_idle_status("")

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Hand the focus to where it is of use, whenever the page itself is given it."""
        super().focusInEvent(event)
        if self.options.isEnabled():
            self.options.focus_first()
        else:
            self.list.setFocus(Qt.FocusReason.MouseFocusReason)  # For any other reason Qt would choose a row.

    def _keep_focus(self, old: QWidget | None, now: QWidget | None) -> None:
        """Keep the focus on the page where what had it is hidden or cannot be used any more.

        Qt hands it to the next widget, which may be the sidebar's first, or Cancel after Pause.
        """
        if old is None or not self.isVisible() or not self.isAncestorOf(old) or (old.isVisible() and old.isEnabled()):
            return
        if now is not None and self.isAncestorOf(now) and now is not self._convert:
            return
        begins = self._convert if self._state == "idle" else self.list
        for widget in (begins, self.list, *self.drop_area.findChildren(QPushButton)):
            if widget.isVisible() and widget.isEnabled():
                widget.setFocus(Qt.FocusReason.MouseFocusReason)  # For any other reason Qt would choose a row.
                return

    # What is shown

    def set_state(self, state: PageState) -> None:
        """Let the one button and everything else follow what the worker does."""
        self._state = state
        is_idle = state == "idle"
        text, icon_name = {
            "idle": (self.tr("Con&vert"), "convert"),
            "stopping": (self.tr("Stopping..."), "clock"),
        }.get(state, (self.tr("&Cancel"), "stop"))
        self._convert.setText(text)
        dress_button(self._convert, icon_name, primary=is_idle)
        self.options.setEnabled(is_idle)
        self._clear.setEnabled(is_idle)
        self._convert.setEnabled(state != "stopping")

        goes_on = state in ("paused", "held")
        self._pause.setVisible(state in ("running", "pausing", "paused", "held", "waiting"))
        self._pause.setEnabled(state != "pausing")
        words = self.tr("Pausing...") if state == "pausing" else self.tr("Pa&use")
        self._pause.setText(self.tr("Res&ume") if goes_on else words)
        self._pause.setToolTip(
            ""
            if goes_on
            else self.tr("Stops at once and unloads the model. The picture under way is converted anew later.")
        )
        dress_button(self._pause, "play" if goes_on else "pause", primary=goes_on)

    def set_can_convert(self, can_convert: bool) -> None:
        """Whether there is anything to convert; only looked at while idle."""
        if self._state == "idle":
            self._convert.setEnabled(can_convert)

    def set_count(self, pictures: int, other_files: int, *, is_inviting: bool) -> None:
        """Say how much is in the list, and how many files of the folders are no pictures.

        Args:
            pictures: Rows of the list.
            other_files: Files that are left alone.
            is_inviting: Whether the invitation stands in place of the list.
        """
        self.drop_area.set_inviting(is_inviting)
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

    def set_failed_only(self, failed_only: bool) -> None:
        """Say whether only failures are listed."""
        with QSignalBlocker(self._failed_only):
            self._failed_only.setChecked(failed_only)

    def set_marked_count(self, marked: int) -> None:
        """Offer to convert the marked pictures in another way."""
        self._redo.setVisible(marked > 0)
        self._redo.setText(self.tr("Redo mar&ked ({0})...").format(f"{marked:,}"))

    def set_can_report(self, can_report: bool) -> None:
        """Whether there is something to write a report about."""
        self._report.setVisible(can_report)

    def set_can_begin_anew(self, can_begin: bool) -> None:
        """Whether a new batch would be another one than that shown."""
        self._new.setEnabled(can_begin)

    def set_space_message(self, text: str) -> None:
        """Say that the disk is full as long as it is; "" takes it back."""
        if self.space.texts != ([text] if text else []):
            self.space.clear()
            if text:
                self.space.add(text)

    def set_can_open_output(self, can_open: bool) -> None:
        """Whether there is a folder of results to look at."""
        self._open.setVisible(can_open)

    def set_scanning(self, found: int) -> None:
        """Folders are being looked through; the list holds `found` pictures so far."""
        self._status.setText(self.tr("Looking for pictures, {0} found").format(f"{found:,}"))
        self._show_progress(0, 0)

    def set_starting(self) -> None:
        """A conversion was asked for, and nothing is known of it yet."""
        if self._state == "paused":
            self.set_paused()
            return
        self._status.setText(self.tr("Starting"))
        self._show_progress(0, 0)

    def set_preparing(self, text: str, done: int, total: int) -> None:
        """A phase before the first picture, as the engine words it."""
        self._status.setText(shown_text(text))
        self._show_progress(done, total)

    def set_progress(self, progress: Progress) -> None:
        """How far the conversion is that is under way."""
        parts = [self.tr("Converted {0} of {1}").format(f"{progress.converted:,}", f"{progress.total:,}")]
        parts += self._left_out(progress)
        if self._state == "stopping":
            parts.append(self.tr("stopping"))
        elif self._state == "pausing":
            parts.append(self.tr("pausing"))
        elif self._state == "paused":
            parts.append(self.tr("paused; the model is unloaded"))
        elif progress.seconds_left is not None and progress.rate:
            parts.append(self.tr("{0} left").format(duration_words(progress.seconds_left)))
            parts.append(
                self.tr("{0} pictures/s").format(f"{progress.rate:.1f}")
                if progress.rate >= 1
                else self.tr("{0} s a picture").format(f"{1 / progress.rate:.1f}")
            )
        parts += self._by(progress)
        self._status.setText(_joined(parts))
        self._show_progress(progress.tried, progress.total)

    def set_watching(self, progress: Progress) -> None:
        """Everything found so far is done, and more may come."""
        parts = [self.tr("Watching for new pictures"), self.tr("{0} converted").format(f"{progress.converted:,}")]
        self._status.setText(_joined(parts + self._left_out(progress)))
        self._show_progress(0, 0)

    def set_waiting(self, *, is_held: bool, is_behind_watch: bool = False) -> None:
        """It is not its turn yet.

        Args:
            is_held: Another is paused, so nothing begins by itself.
            is_behind_watch: Another watches its folders, which only ends when it is stopped.
        """
        if is_held:
            words = self.tr("Waiting: another conversion is paused")
        elif is_behind_watch:
            words = self.tr("Waits until the watching is stopped")
        else:
            words = self.tr("Waiting for its turn")
        self.set_idle_status(words)

    def set_paused(self) -> None:
        """It was paused before anything of it was known; `set_progress` says more of one that had begun."""
        self.set_idle_status(self.tr("Paused"))

    def set_idle_status(self, text: str) -> None:
        """Nothing is going on."""
        self._status.setText(text)
        self._progress.hide()

    def set_ready(self, pictures: int) -> None:
        """Everything is there to begin with."""
        self.set_idle_status(self.tr("Ready to convert {0}").format(self._pictures(pictures)) if pictures else "")

    def set_summary(self, progress: Progress) -> None:
        """What came of a conversion."""
        parts = [self.tr("{0} converted").format(f"{progress.converted:,}"), *self._left_out(progress)]
        if progress.canceled:
            parts.append(self.tr("{0} canceled").format(f"{progress.canceled:,}"))
        parts += self._by(progress)
        self._status.setText(_joined(parts))
        self._progress.hide()

    def _left_out(self, progress: Progress) -> list[str]:
        parts = []
        if progress.skipped:
            parts.append(self.tr("{0} skipped").format(f"{progress.skipped:,}"))
        if progress.failed:
            parts.append(self.tr("{0} failed").format(f"{progress.failed:,}"))
        return parts

    def _by(self, progress: Progress) -> list[str]:
        """What translates, once a picture is."""
        if len(progress.engines) > 1:
            return [self.tr("by {0} and {1}").format(*progress.engines)]
        return [self.tr("by {0}").format(engine) for engine in progress.engines]

    def show_row(self, row: FileRow | None, name: str, captions: tuple[str, str]) -> None:
        """Show the pictures of a row.

        Args:
            row: The row, None for none.
            name: Its name in the list.
            captions: What a picture shows before and after.
        """
        self.comparison.set_marked(row is not None and row.marked)
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
        self.offer.take_back()
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

    def show_no_pictures_yet(self) -> None:
        """Convert was asked for without pictures."""
        self.show_problem(self.tr("Add pictures or folders first."))

    def offer_again(self, pictures: int, again: Callable[[], None]) -> None:
        """All or some pictures are converted already, now or long ago; offer to make their results anew."""
        words = self.tr("{0} converted already with this model and these settings. The results stay as they are.")
        are = self.tr("1 picture is") if pictures == 1 else self.tr("{0} pictures are").format(f"{pictures:,}")
        self.offer.make(words.format(are), (self.tr("Convert a&gain"), again))

    def offer_unfinished(
        self, conversions: Sequence[tuple[str, int, int]], resume: Callable[[], None], discard: Callable[[], None]
    ) -> None:
        """Conversions were not finished when the app ended.

        Args:
            conversions: Name, pictures done and pictures in all of each.
            resume: Goes on with them.
            discard: Forgets them.
        """
        each = [
            self.tr("{0}, {1} of {2} done").format(name, f"{done:,}", f"{total:,}")
            for name, done, total in conversions[:_MOST_NAMED]
        ]
        if len(conversions) > _MOST_NAMED:
            each.append(self.tr("{0} more").format(len(conversions) - _MOST_NAMED))
        count = len(conversions)
        begin = (
            self.tr("1 conversion was not finished: {0}.")
            if count == 1
            else self.tr("{1} conversions were not finished: {0}.")
        )
        text = begin.format("; ".join(each), count)
        self.unfinished.make(text, (self.tr("Resu&me"), resume), (self.tr("&Discard"), discard))

    def offer_undo_discard(self, conversions: int, undo: Callable[[], None]) -> None:
        """Unfinished conversions were forgotten, and can still come back."""
        words = (
            self.tr("Discarded 1 unfinished conversion; its results stay.")
            if conversions == 1
            else self.tr("Discarded {0} unfinished conversions; their results stay.").format(conversions)
        )
        self.unfinished.make(words, (self.tr("Un&do"), undo))

    def show_damaged_queue(self, aside: Path) -> None:
        """The list of unfinished conversions cannot be read."""
        self.show_notice(
            self.tr(
                "The list of unfinished conversions is damaged, so none is offered; it was kept as {0}. Results are as "
                "they were: add the folders again, and only what is missing is converted."
            ).format(aside)
        )

    def offer_report(self, report: Path, folder: Path) -> None:
        """A report is written."""
        self.offer.make(
            self.tr("The report is in {0}.").format(folder), (self.tr("Vie&w report"), lambda: self.open_file(report))
        )

    def show_not_there(self, path: Path, reason: str) -> None:
        """Something that was added cannot be used."""
        self.show_notice(
            reason or self.tr("{0} is not there. Check its name, and that its disk is connected.").format(path)
        )

    def show_not_pictures(self, files: Sequence[Path]) -> None:
        """Files that were added by themselves are no pictures."""
        videos = [file for file in files if file.suffix.lower() in VIDEO_SUFFIXES]
        if videos:
            self.show_notice(video_sentence(videos[0]))
        files = [file for file in files if file not in videos]
        if not files:
            return
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

    def open_file(self, file: Path) -> None:
        """Open a file with the program that the system has for it."""
        if not QDesktopServices.openUrl(QUrl.fromLocalFile(str(file))):
            self.show_notice(self.tr("{0} could not be opened; it is there, though.").format(file))

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

    def pick_report(self, output: Path) -> None:
        """Ask for the folder of a report, with a free name beside the output folder proposed."""
        proposed = free_path(output.parent, self.tr("{0} report").format(output.name))
        dialog = QFileDialog(self, self.tr("Choose a new folder for the report"), str(proposed.parent))
        dialog.setObjectName("report_dialog")
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setOption(QFileDialog.Option.DontConfirmOverwrite)  # Nothing is: the folder must be new or empty.
        dialog.setLabelText(QFileDialog.DialogLabel.FileName, self.tr("Folder:"))
        dialog.selectFile(proposed.name)
        dialog.fileSelected.connect(lambda name: self.report_requested.emit(Path(name)))
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
        self._new = QToolButton()
        self._new.setObjectName("convert_new")
        self._new.setIcon(icon("batch"))
        self._new.setToolTip(self.tr("New batch: another list beside this one (Ctrl+N)"))
        self._new.setAccessibleName(self.tr("New batch"))
        self._new.clicked.connect(self.new_requested)
        self._redo = button("", "mark")
        self._redo.setObjectName("convert_redo")
        self._redo.setToolTip(
            self.tr("Puts the marked pictures into a new batch, for another model or direction. M marks a picture.")
        )
        self._redo.clicked.connect(self.redo_requested)
        self._redo.hide()
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
        tools.addWidget(self._new)
        counts = QHBoxLayout()
        counts.setSpacing(M)
        counts.addWidget(self._count)
        counts.addWidget(self._others)
        counts.addStretch()
        counts.addWidget(self._failed_only)
        counts.addWidget(self._redo)
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
        self._open = button(self.tr("&Open output folder"), "folder-open")
        self._open.setObjectName("convert_open_output")
        self._open.clicked.connect(self.open_output_requested)
        self._report = button(self.tr("Repor&t..."), "report")
        self._report.setObjectName("convert_report")
        self._report.setToolTip(self.tr("A table and pages with before and after of every picture, to be kept."))
        self._report.clicked.connect(self.report_asked)
        self._pause = button("", "pause")
        self._pause.setObjectName("convert_pause")
        self._pause.clicked.connect(self._pause_pressed)
        self._convert = button("", "convert", primary=True)
        self._convert.setObjectName("convert_button")
        self._convert.setMinimumWidth(128)
        self._convert.clicked.connect(self._convert_pressed)
        for offer in (self._retry, self._open, self._report, self._pause):
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
        layout.addWidget(self._report)
        layout.addWidget(self._open)
        layout.addWidget(self._pause)
        layout.addWidget(self._convert)
        return bar

    # What happens

    def _convert_pressed(self) -> None:
        if self._state == "idle":
            self.options.commit_output()
            self.convert_requested.emit()
        else:
            self.cancel_requested.emit()

    def _pause_pressed(self) -> None:
        if self._state in ("paused", "held"):
            self.resume_requested.emit()
        else:
            self.pause_requested.emit()

    def _mark_shown(self) -> None:
        current = self.list.currentIndex()
        if current.isValid():
            self.mark_requested.emit([self.list.files.number_at(current.row())])

    def _show_progress(self, done: int, total: int) -> None:
        self._progress.setRange(0, total)
        self._progress.setValue(done)
        self._progress.show()

    def _pictures(self, count: int) -> str:
        return self.tr("1 picture") if count == 1 else self.tr("{0} pictures").format(f"{count:,}")


def _joined(parts: Sequence[str]) -> str:
    return "  \N{MIDDLE DOT}  ".join(parts)
