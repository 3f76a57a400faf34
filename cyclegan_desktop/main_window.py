"""The window: three pages, one place to drop things, and closing without losing work.

It is there before what it shows: whatever this file imports at its top keeps it waiting. Even the name of `Qt`, with
its thousands of constants, takes an eighth of the time until a bare window is drawn.
"""

from __future__ import annotations

import base64
import binascii
from enum import IntEnum
from typing import TYPE_CHECKING

from PySide6.QtCore import QByteArray, QEvent, QSize, QTimer, Signal
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QMainWindow, QStackedWidget, QWidget

from cyclegan_desktop.drops import accept_copy, local_paths, reference_files
from cyclegan_desktop.settings import APP_NAME, Settings

if TYPE_CHECKING:
    from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDragLeaveEvent, QDragMoveEvent, QDropEvent, QResizeEvent

    from cyclegan_desktop.training.page import PageState

_FIRST_SIZE = QSize(1240, 680)
_LEAST_SIZE = QSize(960, 600)
_MARGIN = 16
_TITLE_MILLISECONDS = 250


class Page(IntEnum):
    """The pages, in their order."""

    TRAIN = 0
    CONVERT = 1
    MODELS = 2


class MainWindow(QMainWindow):
    """Shows one of three pages, once it has them.

    Signals:
        files_dropped: Files and folders were dropped somewhere on the window, as a list of paths.
        page_shown: Another page is shown.
        stop_requested: The user wants everything stopped and saved, so that the window can close.
        painted: The window was drawn for the first time, with or without pages.
        welcomed: It was drawn with what the first page says, before it has pages.
        training_wanted: A new training is, before there are pages.
        furnished: It was drawn with its pages for the first time.
        preferences_changed: The user has changed one, and it is saved.
        closed: The window has closed for good.
    """

    files_dropped = Signal(list)
    page_shown = Signal(int)
    stop_requested = Signal()
    painted = Signal()
    welcomed = Signal()
    training_wanted = Signal()
    furnished = Signal()
    preferences_changed = Signal()
    closed = Signal()

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.setObjectName("main_window")
        self._settings = settings
        self._is_training = False
        self._training_state: PageState = "idle"
        self._trained = ""
        self._conversion = ""
        self._is_closing = False
        self._page = Page.TRAIN
        self._pages = QStackedWidget()
        self._pages.setObjectName("pages")
        self._welcome: QWidget | None = None
        self._has_sidebar = self._has_pages = False
        self._was_painted = self._was_welcoming = self._was_furnished = False
        # A fast machine reports thousands of pictures a second, and each title goes to the window manager.
        self._title_soon = QTimer(self, singleShot=True, interval=_TITLE_MILLISECONDS)
        self._title_soon.timeout.connect(self._show_title)

        self.setMinimumSize(_LEAST_SIZE)
        self._restore_geometry()
        self._show_title()

    def add_sidebar(self) -> None:
        """Show the buttons and room for the pages; a second call does nothing."""
        if self._has_sidebar:
            return
        from cyclegan_desktop.curtain import Curtain
        from cyclegan_desktop.sidebar import Sidebar

        self._sidebar = Sidebar()
        self._sidebar.page_chosen.connect(lambda number: self.show_page(Page(number)))
        self._sidebar.preferences_wanted.connect(self._show_preferences)
        self._sidebar.about_wanted.connect(self._show_about)
        self._sidebar.mark(self._page)
        both = QWidget()
        row = QHBoxLayout(both)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(self._sidebar)
        row.addWidget(self._pages, 1)
        self.setCentralWidget(both)
        self._curtain = Curtain(self)
        self._has_sidebar = True

    def show_welcome(self) -> None:
        """Show what the first page says, while it is being made."""
        from cyclegan_desktop.training.welcome import Welcome, welcome_page

        self.add_sidebar()
        welcome = Welcome()
        welcome.action.connect(self.training_wanted)
        self._welcome = welcome_page(welcome)
        self._pages.addWidget(self._welcome)
        self.update()

    def set_pages(self, training_page: QWidget, conversion_page: QWidget, library_page: QWidget) -> None:
        """Give the window its pages, and show the one asked for by now."""
        self.add_sidebar()
        if self._welcome is not None:
            self._pages.removeWidget(self._welcome)
            self._welcome.deleteLater()
            self._welcome = None
        for page in (training_page, conversion_page, library_page):
            self._pages.addWidget(page)
        self._has_pages = True
        for edit in self.findChildren(QLineEdit):
            # It would take a dropped file for text; so the drop goes on to the window.
            edit.setAcceptDrops(False)
        self.setAcceptDrops(True)
        self._pages.setCurrentIndex(self._page)
        self.update()

    @property
    def page(self) -> Page:
        """The page shown now, or as soon as there are pages."""
        return self._page

    def show_page(self, page: Page) -> None:
        """Show a page."""
        self._sidebar.mark(page)
        if self._page != page:
            self._page = page
            self._show_current()
        self.page_shown.emit(int(page))

    def _show_current(self) -> None:
        if self._welcome is not None:
            # It belongs to one page; the others are empty until they are there.
            self._welcome.setVisible(self._page == Page.TRAIN)
        elif self._has_pages:
            self._pages.setCurrentIndex(self._page)
            shown = self._pages.currentWidget()
            if shown is not None:
                shown.setFocus()

    def set_training(self, running: bool) -> None:
        """Whether a training runs, so that closing asks first."""
        self._is_training = running
        if running:
            self._trained = ""
        self._work_changed()

    def set_training_state(self, state: PageState) -> None:
        """Show in the title whether the training works, or waits and how."""
        self._training_state = state
        self._show_title()

    def set_training_progress(self, name_A: str, name_B: str, share: float) -> None:
        """Show in the title how far the training is, in 0..1."""
        percent = int(100 * share + 1e-6)  # 0.29 is a little less than 29 percent.
        self._trained = self.tr("{a} and {b}, {percent}%").format(a=name_A, b=name_B, percent=percent)
        self._show_title_soon()

    def set_conversion(self, running: bool) -> None:
        """Whether a conversion runs, so that closing asks first."""
        self._conversion = self.tr("Converting") if running else ""
        self._work_changed()

    def set_conversion_progress(self, done: int, total: int) -> None:
        """Show in the title how far the conversion is."""
        self._conversion = self.tr("Converting, {done:,} of {total:,}").format(done=done, total=total)
        self._show_title_soon()

    def set_watching(self, done: int) -> None:
        """Show in the title that folders are watched, and how many pictures have been done."""
        self._conversion = self.tr("Watching, {done:,} done").format(done=done)
        self._show_title_soon()

    def set_interrupted(self, trainings: int) -> None:
        """Show beside Train that so many trainings were interrupted and can go on; 0 takes it back."""
        text = ""
        if trainings:
            text = (
                self.tr("1 training was interrupted")
                if trainings == 1
                else self.tr("{0} trainings were interrupted").format(trainings)
            )
        self._sidebar.set_count(Page.TRAIN, trainings, text)

    def set_unfinished(self, conversions: int) -> None:
        """Show beside Convert that so many conversions wait to be gone on with; 0 takes it back."""
        text = ""
        if conversions:
            text = (
                self.tr("1 conversion was not finished")
                if conversions == 1
                else self.tr("{0} conversions were not finished").format(conversions)
            )
        self._sidebar.set_count(Page.CONVERT, conversions, text)

    def stop_and_close(self) -> None:
        """Close without asking, as soon as what runs has stopped and is saved."""
        if self._is_closing:
            return
        self._is_closing = True
        if self._is_training or self._conversion:
            self._curtain.show_words(
                self.tr("Stopping and saving"), self.tr("The window closes by itself in a moment.")
            )
            self._show_title()
            self.stop_requested.emit()
        else:
            self.close()

    def stay_open(self) -> None:
        """Stopping has failed: stay, so that the reason can be read."""
        self._is_closing = False
        self._curtain.hide()
        self._show_title()

    def closeEvent(self, event: QCloseEvent) -> None:
        """Close, unless something runs: then ask first."""
        if self._is_training or self._conversion:
            event.ignore()
            if not self._is_closing:
                self._ask_to_stop()
            return
        self._settings.window_geometry = bytes(self.saveGeometry().toBase64().data()).decode("ascii")
        self._settings.save()
        super().closeEvent(event)
        self.closed.emit()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take drags that hold local files, and show it."""
        paths = local_paths(event.mimeData())
        if paths:
            accept_copy(event)
            _, others = reference_files(paths)
            if not others:
                text = self.tr("A model of the reference, to be imported")
            elif self.page == Page.TRAIN:
                text = self.tr("A folder to train on, or pictures or a model to convert")
            else:
                text = self.tr("Pictures, folders or a model to convert with")
            self._curtain.show_words(self.tr("Drop here"), text, is_target=True)

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        """Go on taking it."""
        accept_copy(event)

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        """The drag went elsewhere."""
        self._curtain.hide()

    def dropEvent(self, event: QDropEvent) -> None:
        """Hand over what was dropped."""
        self._curtain.hide()
        paths = local_paths(event.mimeData())
        if paths:
            accept_copy(event)
            self.files_dropped.emit(paths)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep what covers the window as large as the window."""
        super().resizeEvent(event)
        if self._has_sidebar:
            self._curtain.setGeometry(self.rect())

    def event(self, event: QEvent) -> bool:
        """Tell of the first time that the window is drawn, and of the first with its pages."""
        done = super().event(event)
        if event.type() == QEvent.Type.Paint:
            # Told later, when all upon the window is drawn as well.
            if not self._was_painted:
                self._was_painted = True
                QTimer.singleShot(0, self.painted.emit)
            if not self._was_welcoming and self._welcome is not None:
                self._was_welcoming = True
                QTimer.singleShot(0, self.welcomed.emit)
            if not self._was_furnished and self._has_pages:
                self._was_furnished = True
                QTimer.singleShot(0, self.furnished.emit)
        return done

    # The dialogs bring much that a window has no time for.

    def _show_about(self) -> None:
        from cyclegan_desktop.about_dialog import AboutDialog

        AboutDialog(self._settings, self).open()

    def _show_preferences(self) -> None:
        from cyclegan_desktop.preferences_dialog import PreferencesDialog

        dialog = PreferencesDialog(self._settings, self)
        dialog.changed.connect(self.preferences_changed)
        dialog.open()

    def _work_changed(self) -> None:
        self._show_title()
        if self._is_closing and not (self._is_training or self._conversion):
            # Later, since a failure to save is told right after, and then the window stays.
            QTimer.singleShot(0, self._close_now)

    def _close_now(self) -> None:
        if self._is_closing:
            self.close()

    def _show_title_soon(self) -> None:
        if not self._title_soon.isActive():
            self._title_soon.start()

    def _show_title(self) -> None:
        if self._is_closing:
            self.setWindowTitle(self.tr("Stopping and saving... - {app}").format(app=APP_NAME))
            return
        self.setWindowTitle(" - ".join(filter(None, (self._training_words(), self._conversion, APP_NAME))))

    def _training_words(self) -> str:
        match self._training_state:
            case "paused":
                words = self.tr("Paused")
            case "freed":
                words = self.tr("Paused, memory freed")
            case "stopping" | "freeing":
                words = self.tr("Stopping")
            case _:
                words = self.tr("Training") if self._is_training else ""
        if not words or not self._trained:
            return words
        joint = " " if words == self.tr("Training") else ": "
        return f"{words}{joint}{self._trained}"

    def _ask_to_stop(self) -> None:
        from PySide6.QtCore import Qt
        from PySide6.QtWidgets import QMessageBox

        if self.findChild(QMessageBox, "stop_question") is not None:
            return
        if self._is_training and self._conversion:
            text = self.tr("A training and a conversion are running. Stop both and save, then close?")
        elif self._is_training:
            text = self.tr("A training is running. Stop it and save, then close?")
        else:
            text = self.tr("Pictures are being converted. Stop, then close?")
        if self._is_training and self._conversion:
            more = self.tr(
                "You can resume the training later, from where it is now. Pictures already converted are kept; the "
                "rest is offered when the app starts again."
            )
        elif self._is_training:
            more = self.tr("You can resume the training later, from where it is now.")
        else:
            more = self.tr(
                "Those already converted are kept. The rest, with the picture under way, is offered when the app "
                "starts again."
            )
        question = QMessageBox(self)
        question.setObjectName("stop_question")
        question.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        question.setTextFormat(Qt.TextFormat.PlainText)
        question.setIcon(QMessageBox.Icon.Question)
        question.setWindowTitle(APP_NAME)
        question.setText(text)
        question.setInformativeText(more)
        stop = question.addButton(self.tr("&Stop and close"), QMessageBox.ButtonRole.AcceptRole)
        stop.setObjectName("stop_and_close")
        keep = question.addButton(self.tr("&Keep running"), QMessageBox.ButtonRole.RejectRole)
        keep.setObjectName("keep_running")
        question.setDefaultButton(keep)
        question.setEscapeButton(keep)
        stop.clicked.connect(self.stop_and_close)
        question.open()

    def _restore_geometry(self) -> None:
        try:
            saved = base64.b64decode(self._settings.window_geometry, validate=True)
        except (binascii.Error, ValueError):
            saved = b""
        if saved and self.restoreGeometry(QByteArray(saved)):
            return
        room = self.screen().availableSize() - QSize(_MARGIN, 2 * _MARGIN)
        self.resize(_FIRST_SIZE.boundedTo(room).expandedTo(_LEAST_SIZE))
