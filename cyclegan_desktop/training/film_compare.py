"""One fixed picture at two moments of a training, compared like a picture before and after its conversion."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QGuiApplication, QImage, QKeyEvent
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from cyclegan_desktop.picture_image import image_of
from cyclegan_desktop.plain_text import shown_paragraph
from cyclegan_desktop.review.compare_mode import CompareMode
from cyclegan_desktop.review.compare_tools import CompareTools
from cyclegan_desktop.review.compare_view import TO_THE_END, CompareView
from cyclegan_desktop.review.zoom import ZOOM_STEP
from cyclegan_desktop.style import XS, S
from cyclegan_desktop.training.film_overview import kind_names
from cyclegan_desktop.training.film_words import step_words
from cyclegan_desktop.widgets import ElidedLabel, NoWheelComboBox, button, plain_label
from engine.events import Sample


class FilmCompare(QWidget):
    """The pinned moment left, the moment shown right.

    Signals:
        closed: The comparison is to end.
        moved: To another picture: so many further on, or back if negative.
    """

    closed = Signal()
    moved = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("film_compare")
        self._pair: tuple[Sample | None, Sample | None] = (None, None)
        self._view = _MomentsView()
        self._tools = CompareTools(with_result=False)
        self._title = ElidedLabel()
        self._title.setObjectName("film_compare_title")
        self._note = plain_label(role="muted", wrap=True)
        self._note.setObjectName("film_compare_note")
        self._kind = NoWheelComboBox()
        self._kind.setObjectName("film_compare_kind")
        self._kind.setAccessibleName(self.tr("Which picture is compared"))
        self._kind.addItems(list(kind_names(self)[1:]))
        self._kind.currentIndexChanged.connect(self._refresh)
        back = button(self.tr("All samples"))
        back.setObjectName("film_compare_close")
        back.setToolTip(self.tr("End the comparison (Esc)"))
        back.clicked.connect(self.closed)

        view, tools = self._view, self._tools
        tools.mode_chosen.connect(view.set_mode)
        tools.step_asked.connect(self.moved)
        tools.zoom_asked.connect(self._zoom)
        view.step_asked.connect(self._move)
        view.mode_changed.connect(tools.set_mode)
        view.zoom_changed.connect(self._show_scale)
        view.copy_asked.connect(self._copy)
        tools.set_mode(view.mode)
        self._show_scale()

        row = QHBoxLayout()
        row.setSpacing(S)
        row.addWidget(back)
        row.addWidget(self._title, 1)
        row.addWidget(self._kind)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(XS)
        layout.addLayout(row)
        layout.addWidget(view, 1)
        layout.addWidget(self._note)
        layout.addWidget(tools)
        self.setFocusProxy(view)

    @property
    def view(self) -> CompareView:
        """What shows the two."""
        return self._view

    def set_mode(self, mode: CompareMode) -> None:
        """Compare in this way."""
        self._view.set_mode(mode)

    def show_pair(
        self, title: str, steps: tuple[int, int], samples: tuple[Sample | None, Sample | None], note: str
    ) -> None:
        """Show a picture at two moments.

        Args:
            title: The direction and the picture's name.
            steps: Of the pinned moment and the one shown.
            samples: The picture at both; None where a moment does not show it.
            note: What is to be said about them, or "".
        """
        self._title.setText(title)
        self._view.set_captions(step_words(steps[0]), step_words(steps[1]))
        self._note.setText(shown_paragraph(note))
        self._note.setVisible(bool(note))
        if any(new is not old for new, old in zip(samples, self._pair, strict=True)):
            self._pair = samples
            self._refresh()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Esc ends it."""
        if event.key() == Qt.Key.Key_Escape:
            self.closed.emit()
        else:
            super().keyPressEvent(event)

    def _refresh(self) -> None:
        before, after = (self._image(sample) for sample in self._pair)
        self._view.set_pictures(before, after)
        there = before is not None or after is not None
        both = before is not None and after is not None
        self._tools.set_what_can(row=True, pictures=there, both=both, result=False)

    def _image(self, sample: Sample | None) -> QImage | None:
        if sample is None:
            return None
        return image_of(sample.translated if self._kind.currentIndex() == 0 else sample.back)

    def _move(self, by: int) -> None:
        # The first and the last picture are a step on from each other here.
        self.moved.emit(max(-1, min(1, by)) if abs(by) < TO_THE_END else by)

    def _zoom(self, way: int) -> None:
        if way:
            self._view.zoom_by(ZOOM_STEP**way)
        else:
            self._view.toggle_zoom()

    def _show_scale(self) -> None:
        self._tools.set_scale(self._view.scale, fits=self._view.zoom.scale is None)

    def _copy(self) -> None:
        if self._view.after is not None:
            QGuiApplication.clipboard().setImage(self._view.after)
            self._view.say(self.tr("Copied"))


class _MomentsView(CompareView):
    """Leaves the keys that mean something to the whole film, such as S for a star."""

    def take_key(self, event: QKeyEvent) -> bool:
        """Do what the other keys stand for."""
        mine = event.key() not in (Qt.Key.Key_S, Qt.Key.Key_M, Qt.Key.Key_F11)
        return mine and super().take_key(event)
