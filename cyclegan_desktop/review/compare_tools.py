"""The row of small buttons below a comparison: everything that its keys do, for the mouse."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QColor, QMouseEvent
from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QSizePolicy, QToolButton, QWidget

from cyclegan_desktop.icons import icon
from cyclegan_desktop.review.compare_mode import MODES, CompareMode
from cyclegan_desktop.review.result_drag import DragHandle
from cyclegan_desktop.style import XS, S
from cyclegan_desktop.widgets import plain_tooltip

_ICON: Final = QSize(18, 18)
_ICONS: Final = {"slider": "compare-slider", "side": "compare-side", "toggle": "compare-toggle"}


class CompareTools(QWidget):
    """Modes, zoom, the way through the batch, and what can be done with a result.

    Signals:
        mode_chosen: The mode wanted.
        step_asked: The previous (-1) or next (+1) picture is wanted.
        zoom_asked: Enlarge (+1), shrink (-1), or go from all of the picture to its own pixels and back (0).
        mark_asked: The picture is to be marked, or no longer.
        copy_asked: The result is to be copied.
        drag_asked: The result is dragged out.
        full_asked: The whole window is wanted, or no longer.
    """

    mode_chosen = Signal(str)
    step_asked = Signal(int)
    zoom_asked = Signal(int)
    mark_asked = Signal()
    copy_asked = Signal()
    drag_asked = Signal()
    full_asked = Signal()

    def __init__(self, parent: QWidget | None = None, *, with_result: bool = True) -> None:
        """Make the buttons.

        Args:
            parent: What they are in.
            with_result: Whether what is compared is a result in a file. Otherwise there are no buttons for one, nor
                for the whole screen, and S means something else.
        """
        super().__init__(parent)
        self.setObjectName("compare_tools")
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self._icons: dict[QToolButton, str] = {}
        self._marked = False
        self._mode_buttons: dict[CompareMode, QToolButton] = {}
        group = QButtonGroup(self)
        words = {
            "slider": (
                self.tr("Slider"),
                self.tr("Slider (S). Drag the divider, or move it with Shift+Left and Shift+Right")
                if with_result
                else self.tr("Slider. Drag the divider, or move it with Shift+Left and Shift+Right"),
            ),
            "side": (self.tr("Side by side"), self.tr("Side by side (B)")),
            "toggle": (
                self.tr("Toggle"),
                self.tr("One in place of the other (T). Space shows the other, also holding the mouse button"),
            ),
        }
        for mode in MODES:
            made = self._button(f"compare_{mode}", _ICONS[mode], *words[mode])
            made.setCheckable(True)
            made.clicked.connect(lambda _checked=False, mode=mode: self.mode_chosen.emit(mode))
            group.addButton(made)
            self._mode_buttons[mode] = made

        self._previous = self._button(
            "compare_previous",
            "arrow-left",
            self.tr("Previous picture"),
            self.tr("Previous picture (Left). First: Home"),
        )
        self._previous.clicked.connect(lambda: self.step_asked.emit(-1))
        self._next = self._button(
            "compare_next", "arrow-right", self.tr("Next picture"), self.tr("Next picture (Right). Last: End")
        )
        self._next.clicked.connect(lambda: self.step_asked.emit(1))

        self._zoom_out = self._button("compare_zoom_out", "zoom-out", self.tr("Zoom out"), self.tr("Zoom out (-)"))
        self._zoom_out.clicked.connect(lambda: self.zoom_asked.emit(-1))
        self._scale = QToolButton()
        self._scale.setObjectName("compare_scale")
        self._scale.setToolTip(
            plain_tooltip(self.tr("All of the picture (0), its own pixels (1), or a double click for either"))
        )
        self._scale.setMinimumWidth(self._scale.fontMetrics().horizontalAdvance("1600%") + 2 * S)
        self._scale.clicked.connect(lambda: self.zoom_asked.emit(0))
        self._zoom_in = self._button(
            "compare_zoom_in",
            "zoom-in",
            self.tr("Zoom in"),
            self.tr("Zoom in (+, or the wheel). Drag, or Ctrl with an arrow key, moves the picture"),
        )
        self._zoom_in.clicked.connect(lambda: self.zoom_asked.emit(1))

        self._mark = self._button(
            "compare_mark", "mark", self.tr("Mark to redo"), self.tr("Mark the picture to redo it, or not (M)")
        )
        self._mark.setCheckable(True)
        self._mark.clicked.connect(self._mark_clicked)
        self._copy = self._button(
            "compare_copy", "copy", self.tr("Copy the result"), self.tr("Copy the result to the clipboard (Ctrl+C)")
        )
        self._copy.clicked.connect(self.copy_asked)
        self._drag = DragHandle()
        self._dress(
            self._drag,
            "compare_drag",
            "drag-out",
            self.tr("Drag the result out"),
            self.tr("Drag this into another program to hand it the result. A click copies the result instead"),
        )
        self._drag.drag_asked.connect(self.drag_asked)
        self._drag.clicked.connect(self.copy_asked)
        self._full = self._button("compare_full", "full-window", "", "")
        self._full.clicked.connect(self.full_asked)
        self.set_full(False)

        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        for made in self._mode_buttons.values():
            layout.addWidget(made)
        layout.addSpacing(XS)
        layout.addStretch()
        for made in (self._previous, self._next):
            layout.addWidget(made)
        layout.addSpacing(XS)
        for made in (self._zoom_out, self._scale, self._zoom_in):
            layout.addWidget(made)
        layout.addStretch()
        layout.addSpacing(XS)
        for made in (self._mark, self._copy, self._drag, self._full):
            layout.addWidget(made)
            if not with_result:
                made.hide()

    def set_mode(self, mode: CompareMode) -> None:
        """Show which mode it is."""
        self._mode_buttons[mode].setChecked(True)

    def set_scale(self, scale: float, *, fits: bool) -> None:
        """Show the scale: pixels of the screen to one of the picture, 0 for no picture; and whether all is seen."""
        words = self.tr("{0}%").format(f"{scale * 100:.0f}" if scale >= 0.1 else f"{scale * 100:.1g}")
        self._scale.setText(words if scale else "")
        self._scale.setAccessibleName(
            self.tr("Zoom, all of the picture at {0}").format(words) if fits else self.tr("Zoom, {0}").format(words)
        )

    def set_what_can(self, *, row: bool, pictures: bool, both: bool, result: bool) -> None:
        """Enable what can be done.

        Args:
            row: Whether a row is chosen, whatever there is to see of it.
            pictures: Whether a picture is shown.
            both: Whether there are two to compare.
            result: Whether there is a result.
        """
        for made in (self._previous, self._next, self._mark):
            made.setEnabled(row)
        for made in (self._zoom_out, self._scale, self._zoom_in):
            made.setEnabled(pictures)
        for made in self._mode_buttons.values():
            made.setEnabled(both)
        for made in (self._copy, self._drag):
            made.setEnabled(result)

    def set_marked(self, marked: bool) -> None:
        """Show whether the picture is marked."""
        self._marked = marked
        self._mark.setChecked(marked)

    def set_full(self, full: bool) -> None:
        """Say what the last button does: take the whole window, or give it back."""
        self._full.setAccessibleName(self.tr("Leave the whole screen") if full else self.tr("Whole screen"))
        self._full.setToolTip(
            plain_tooltip(self.tr("Back to the window (Esc)") if full else self.tr("Use the whole screen (F11)"))
        )

    def set_colour(self, colour: QColor | None) -> None:
        """Draw the icons in a colour, None for that of the scheme."""
        for made, name in self._icons.items():
            made.setIcon(icon(name, colour=colour))

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Between the buttons: take the whole window, or give it back."""
        if event.button() == Qt.MouseButton.LeftButton:
            self.full_asked.emit()

    def _button(self, name: str, icon_name: str, words: str, tip: str) -> QToolButton:
        made = QToolButton()
        self._dress(made, name, icon_name, words, tip)
        return made

    def _dress(self, made: QToolButton, name: str, icon_name: str, words: str, tip: str) -> None:
        made.setObjectName(name)
        made.setIcon(icon(icon_name))
        made.setIconSize(_ICON)
        made.setAccessibleName(words)
        made.setToolTip(plain_tooltip(tip))
        self._icons[made] = icon_name

    def _mark_clicked(self) -> None:
        # Whether it is marked is the list's to say.
        self._mark.setChecked(self._marked)
        self.mark_asked.emit()
