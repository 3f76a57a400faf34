"""The pictures of a row before and after their conversion, and what can be done with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

from PySide6.QtCore import QPoint, QSize, Qt, QTimer, QUrl, Signal
from PySide6.QtGui import QColor, QDesktopServices, QGuiApplication, QImage, QKeyEvent
from PySide6.QtWidgets import QApplication, QFrame, QLabel, QMenu, QStackedWidget, QVBoxLayout, QWidget

from cyclegan_desktop.icons import icon
from cyclegan_desktop.plain_text import shown_paragraph
from cyclegan_desktop.review.compare_mode import CompareMode
from cyclegan_desktop.review.compare_tools import CompareTools
from cyclegan_desktop.review.compare_view import CompareView
from cyclegan_desktop.review.full_window import FullWindow
from cyclegan_desktop.review.picture_loader import LoadedPicture, PairLoader, Pool, ReadShown
from cyclegan_desktop.review.result_drag import result_data, start_drag
from cyclegan_desktop.review.shown_picture import read_shown
from cyclegan_desktop.review.zoom import ZOOM_STEP
from cyclegan_desktop.style import DANGER, DARK, XL, XS, L, M, S
from cyclegan_desktop.widgets import ElidedLabel, EmptyState, plain_label

_PATIENCE_MS: Final = 250
"""Time for which the last pair stays while the next is read, in milliseconds: longer would show the wrong picture."""

_DETAIL_MS: Final = 350
"""Time for which a scale stays before all pixels are read or given up for it: turning the wheel passes many."""

Pair: TypeAlias = tuple[Path, Path | None]
"""A picture and its result, None if there is none yet."""

StartDrag: TypeAlias = Callable[[QWidget, Path, QImage | None], None]


class Comparison(QFrame):
    """The pictures of the chosen row, under their name, or a sentence where there are none.

    Signals:
        step_asked: So many pictures further on are wanted, or back if negative: 1, -1, or a number beyond all rows.
        mark_asked: The picture is to be marked, or no longer: `set_marked` follows.
        mode_changed: How pictures are compared from now on, to be remembered: "slider", "side" or "toggle".
    """

    step_asked = Signal(int)
    mark_asked = Signal()
    mode_changed = Signal(str)

    def __init__(
        self,
        *,
        read: ReadShown = read_shown,
        pool: Pool | None = None,
        drag: StartDrag = start_drag,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("comparison")
        self.setProperty("card", True)
        self._start_drag = drag
        self._name = ElidedLabel(role="heading")
        self._name.setObjectName("comparison_name")
        self._notes = plain_label(role="muted", wrap=True)
        self._notes.setObjectName("comparison_notes")
        self.view = CompareView()
        self.tools = CompareTools()
        self._nothing = EmptyState(
            "picture",
            self.tr("Before and after"),
            self.tr("Choose a picture in the list; once converted, it is compared with its result here."),
        )
        self._problem_page = QWidget()
        self._problem_page.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._problem_title = plain_label(role="heading")
        self._problem = plain_label(role="error", wrap=True)
        self._problem.setObjectName("comparison_problem")
        self._lay_out_problem()
        self._page: QWidget = self._nothing
        self._pages = QStackedWidget()
        for page in (self._nothing, self.view, self._problem_page):
            self._pages.addWidget(page)

        # All of it moves to the whole screen and back.
        self._contents = _Contents(self.view)
        lines = QVBoxLayout(self._contents)
        lines.setContentsMargins(0, 0, 0, 0)
        lines.setSpacing(XS)
        lines.addWidget(self._name)
        lines.addWidget(self._pages, 1)
        lines.addWidget(self._notes)
        lines.addWidget(self.tools)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(S, S, S, S)
        self._layout.addWidget(self._contents)
        self._full_window: FullWindow | None = None

        self._loader = PairLoader(read, pool, self)
        self._loader.loaded.connect(self._show_loaded)
        self._loader.full_loaded.connect(self._show_full)
        self._ticket = self._full_ticket = 0
        self._paths: list[Path] = []
        self._loaded: list[LoadedPicture | None] = []
        self._neighbours: list[Path] = []
        self._full_paths: list[Path] = []
        self._full: dict[Path, QImage] = {}
        self._copy_wanted = False
        self._patience = _timer(self, _PATIENCE_MS)
        self._patience.timeout.connect(self._show_waiting)
        self._detail = _timer(self, _DETAIL_MS)
        self._detail.timeout.connect(self._follow_detail)

        view, tools = self.view, self.tools
        view.step_asked.connect(self.step_asked)
        view.mark_asked.connect(self._ask_mark)
        view.copy_asked.connect(self.copy_picture)
        view.drag_asked.connect(self.drag_result)
        view.full_asked.connect(self.toggle_full_window)
        view.mode_changed.connect(self._mode_changed)
        view.zoom_changed.connect(self._show_scale)
        view.detail_changed.connect(lambda _wanted: self._detail.start())
        view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        view.customContextMenuRequested.connect(self._open_menu)
        tools.mode_chosen.connect(view.set_mode)
        tools.step_asked.connect(self.step_asked)
        tools.zoom_asked.connect(self._zoom)
        tools.mark_asked.connect(self.mark_asked)
        tools.copy_asked.connect(self.copy_picture)
        tools.drag_asked.connect(self.drag_result)
        tools.full_asked.connect(self.toggle_full_window)
        tools.set_mode(view.mode)
        self.show_nothing()

    @property
    def name(self) -> str:
        """The name above the pictures."""
        return self._name.text()

    @property
    def full_window(self) -> QWidget | None:
        """The window over the whole screen, None while there is none."""
        return self._full_window

    # What is shown

    def show_nothing(self) -> None:
        """No row is chosen."""
        self.set_marked(False)
        self._show(self._nothing, "")

    def show_problem(self, name: str, title: str, reason: str) -> None:
        """A picture that could not be converted.

        Args:
            name: Of the picture.
            title: What happened, in a few words.
            reason: The whole sentence.
        """
        self._problem_title.setText(title)
        self._problem.setText(shown_paragraph(reason))
        self._problem_page.setAccessibleName(f"{title}. {reason}")
        self._show(self._problem_page, name)

    def show_files(
        self, name: str, before: Path, after: Path | None, captions: tuple[str, str], notes: str = ""
    ) -> None:
        """A picture and its result, read in the background.

        Args:
            name: Of the picture.
            before: The picture.
            after: Its result, None if there is none yet.
            captions: What the two show.
            notes: What the result could not keep.
        """
        paths = [before] if after is None else [before, after]
        self.view.set_captions(*captions)
        if paths == self._paths and self._page is self.view:
            return
        self._show(self.view, name, notes)
        self._paths = paths
        self._ticket = self._loader.load(paths)
        self._patience.start()
        self._say_what_can()

    def set_marked(self, marked: bool) -> None:
        """Show whether the picture is marked to be converted once more."""
        self.view.set_marked(marked)
        self.tools.set_marked(marked)

    def set_neighbours(self, previous: Pair | None, next: Pair | None) -> None:
        """Which pictures come before and after, to be read before they are asked for."""
        pairs = [pair for pair in (next, previous) if pair is not None]
        self._neighbours = [path for pair in pairs for path in pair if path is not None]
        if self._loaded:
            self._loader.prefetch(self._paths, self._neighbours)

    def set_mode(self, mode: CompareMode) -> None:
        """Compare in this way, as it was remembered."""
        self.view.set_mode(mode)

    def wait(self) -> None:
        """Wait until no picture is being read."""
        self._loader.wait()

    def stop(self) -> None:
        """Read no picture any more, and wait until none is being read."""
        for timer in (self._patience, self._detail):
            timer.stop()
        self._loader.close()

    # What can be done with a result

    @property
    def result(self) -> Path | None:
        """The result that is shown, None if there is none."""
        return self._paths[1] if len(self._paths) > 1 else None

    def copy_picture(self) -> None:
        """Put the result on the clipboard, with all of its pixels and as a file."""
        result = self.result
        if result is None or self.view.after is None:
            return
        loaded = self._loaded[1]
        assert loaded is not None
        if loaded.image.size() == loaded.size:
            self._copy(result, loaded.image)
        elif result in self._full:
            self._copy(result, self._full[result])
        else:
            self._copy_wanted = True
            self.view.say(self.tr("Copying"), stays=True)
            self._load_full()

    def copy_path(self) -> None:
        """Put the path of the result, or of the picture, on the clipboard."""
        if self._paths:
            QGuiApplication.clipboard().setText(str(self._paths[-1].absolute()))
            self.view.say(self.tr("Path copied"))

    def show_in_folder(self) -> None:
        """Show the folder of the result, or of the picture, in the file manager."""
        if self._paths:
            folder = self._paths[-1].absolute().parent
            if not QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder))):
                self.view.say(str(folder))

    def drag_result(self) -> None:
        """Drag the result out of the window; the mouse button is pressed."""
        if self.result is not None:
            self._start_drag(self, self.result, self.view.after)

    def toggle_full_window(self) -> None:
        """Use the whole screen, or give it back."""
        if self._full_window is not None:
            self._full_window.close()
            return
        self._full_window = FullWindow(self._contents, self)
        self._full_window.setWindowTitle(self.name or self.tr("Before and after"))
        self._full_window.closed.connect(self._leave_full_window)
        self.view.set_ground(DARK.picture)
        self.tools.set_full(True)
        self.tools.set_colour(QColor(DARK.text))
        self._full_window.showFullScreen()
        self._page.setFocus()

    def _leave_full_window(self) -> None:
        window, self._full_window = self._full_window, None
        if window is None:
            return
        self._layout.addWidget(self._contents)
        self.view.set_ground("")
        self.tools.set_full(False)
        self.tools.set_colour(None)
        window.deleteLater()
        self.activateWindow()
        self._page.setFocus()

    def _copy(self, result: Path, image: QImage) -> None:
        self._copy_wanted = False
        QGuiApplication.clipboard().setMimeData(result_data(result, image))
        self.view.say(self.tr("Copied"))

    def _open_menu(self, at: QPoint) -> None:
        if not self._paths:
            return
        menu = self.make_menu()
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(self.view.mapToGlobal(at))

    def make_menu(self) -> QMenu:
        """What can be done, as a menu."""
        menu = QMenu(self.view)
        copy = menu.addAction(self.tr("&Copy picture") + "\tCtrl+C", self.copy_picture)
        copy.setEnabled(self.view.after is not None)
        menu.addAction(self.tr("Copy &path"), self.copy_path)
        menu.addAction(self.tr("Show in &folder"), self.show_in_folder)
        menu.addSeparator()
        marked = self.view.is_marked
        menu.addAction((self.tr("Un&mark") if marked else self.tr("&Mark to redo")) + "\tM", self.mark_asked.emit)
        return menu

    # What happens

    def _ask_mark(self) -> None:
        if self._page is not self._nothing:
            self.mark_asked.emit()

    def _mode_changed(self, mode: CompareMode) -> None:
        self.tools.set_mode(mode)
        self.mode_changed.emit(mode)

    def _zoom(self, way: int) -> None:
        if way:
            self.view.zoom_by(ZOOM_STEP**way)
        else:
            self.view.toggle_zoom()

    def _show_scale(self) -> None:
        self.tools.set_scale(self.view.scale, fits=self.view.zoom.scale is None)

    def _say_what_can(self) -> None:
        before, after = self.view.before is not None, self.view.after is not None
        self.tools.set_what_can(
            row=self._page is not self._nothing,
            pictures=before or after,
            both=before and after,
            result=after,
        )

    def _lay_out_problem(self) -> None:
        sign = QLabel()
        sign.setPixmap(icon("alert", colour=QColor(DANGER)).pixmap(QSize(48, 48)))
        lines = QVBoxLayout(self._problem_page)
        lines.setContentsMargins(XL, L, XL, L)
        lines.setSpacing(M)
        lines.addStretch(2)
        for label in (sign, self._problem_title, self._problem):
            label.setAlignment(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop)
            lines.addWidget(label)
        lines.addStretch(3)

    def _show(self, page: QWidget, name: str, notes: str = "") -> None:
        self._loader.forget()
        self._patience.stop()
        self.view.say("")
        self._paths, self._loaded = [], []
        self._copy_wanted = False
        self._drop_full()
        if page is not self.view:
            self._set_pictures([])
        self._name.setText(name)
        self._name.setVisible(bool(name))
        self._notes.setText(shown_paragraph(notes))
        self._notes.setVisible(bool(notes))
        # Else the keys would end at the first picture that failed.
        focus = QApplication.focusWidget()
        had_focus = focus is not None and (focus is self._page or self._page.isAncestorOf(focus))
        self._page = page
        self._pages.setCurrentWidget(page)
        if had_focus:
            page.setFocus()
        self._say_what_can()

    def _show_waiting(self) -> None:
        self._set_pictures([])
        self.view.say(self.tr("Opening"), stays=True)

    def _set_pictures(self, pictures: list[LoadedPicture | None]) -> None:
        """Show these, beginning with the picture before."""
        before, after = (*pictures, None, None)[:2]
        self.view.set_pictures(
            before.image if before else None,
            after.image if after else None,
            sizes=(before.size if before else None, after.size if after else None),
        )
        self._say_what_can()

    def _show_loaded(self, ticket: int, pictures: list[LoadedPicture | None], problem: str) -> None:
        if ticket != self._ticket or not self._paths:
            return
        self._patience.stop()
        self.view.say("")
        if not any(pictures):
            self.show_problem(self.name, self.tr("This picture cannot be shown"), problem)
            return
        self._loaded = pictures
        self._set_pictures(pictures)
        if problem:
            self._notes.setText(shown_paragraph(problem))
            self._notes.show()
        if self.view.wants_detail:
            self._detail.start()
        self._loader.prefetch(self._paths, self._neighbours)

    # All pixels of an enlarged picture

    def _follow_detail(self) -> None:
        """Read all pixels once they can be seen, and be without them again."""
        if self.view.wants_detail:
            self._load_full()
        elif not self._copy_wanted:
            self._drop_full()

    def _load_full(self) -> None:
        if self._full_paths or not self._loaded:
            return
        coarse = [
            (path, loaded.size)
            for path, loaded in zip(self._paths, self._loaded, strict=True)
            if loaded is not None and loaded.image.size() != loaded.size
        ]
        if coarse:
            self._full_paths = [path for path, _ in coarse]
            self._full_ticket = self._loader.load_full(coarse)

    def _show_full(self, ticket: int, pictures: list[LoadedPicture | None], problem: str) -> None:
        if ticket != self._full_ticket or not self._full_paths:
            return
        pairs = zip(self._full_paths, pictures, strict=True)
        self._full = {path: picture.image for path, picture in pairs if picture is not None}
        before, after = self._paths[0], self.result
        self.view.set_full(self._full.get(before), None if after is None else self._full.get(after))
        if problem or self._copy_wanted:
            self.view.say(problem)
        if self._copy_wanted and after is not None and after in self._full:
            self._copy(after, self._full[after])
        self._copy_wanted = False
        self._detail.start()

    def _drop_full(self) -> None:
        if self._full_paths:
            self._loader.forget_full()
            self._full_paths, self._full = [], {}
            self.view.set_full(None, None)


class _Contents(QWidget):
    """Hands the keys that a button or a sentence has no use for to the view."""

    def __init__(self, view: CompareView) -> None:
        super().__init__()
        self._view = view

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Do what the key stands for."""
        if not self._view.take_key(event):
            super().keyPressEvent(event)


def _timer(parent: QWidget, milliseconds: int) -> QTimer:
    made = QTimer(parent)
    made.setSingleShot(True)
    made.setInterval(milliseconds)
    return made
