"""How the training is doing, in words: a light, and below it whatever is to be looked at."""

from __future__ import annotations

from typing import Literal

from PySide6.QtCore import QEvent, QSize, Qt, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from cyclegan_desktop.icons import icon
from cyclegan_desktop.plain_text import shown_paragraph
from cyclegan_desktop.style import SUCCESS, XS, M, S, colours
from cyclegan_desktop.training.remedy_rows import RemedyRows
from cyclegan_desktop.widgets import plain_label
from engine.events import Alarm, AlarmKind, HealthChecked

_Light = Literal["unknown", "healthy", "alarmed"]
_MOST_HEIGHT = 260
_NO_LIMIT = 16_777_215  # What Qt calls QWIDGETSIZE_MAX.


class HealthPanel(QWidget):
    """One line while all is well; each alarm with its evidence and remedies where it is not.

    An alarm that the user dismisses stays away until it has gone and comes again.

    Signals:
        remedy_chosen: The user wants this `Remedy`.
        opened: Whether what was found is shown now, and not only how much it is.
    """

    remedy_chosen = Signal(object)
    opened = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("health_panel")
        self._alarms: tuple[Alarm, ...] = ()
        self._dismissed: set[AlarmKind] = set()
        self._is_checked = self._is_at_rest = False

        self._light = QLabel()
        self._words = plain_label(role="heading")
        self._words.setObjectName("health_words")
        self._fold = QToolButton()
        self._fold.setObjectName("fold_health")
        self._fold.setCheckable(True)
        self._fold.setChecked(True)
        self._fold.toggled.connect(self._show_fold)
        self._has_room = True
        head = QHBoxLayout()
        head.setSpacing(S)
        head.addWidget(self._light)
        head.addWidget(self._words, 1)
        head.addWidget(self._fold)
        self._scroll = QScrollArea()
        self._scroll.setWidgetResizable(True)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroll.viewport().setAutoFillBackground(False)
        self._scroll.setMaximumHeight(_MOST_HEIGHT)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(S)
        layout.addLayout(head)
        layout.addWidget(self._scroll)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self._show()

    @property
    def alarms(self) -> tuple[Alarm, ...]:
        """Those that stand and are not dismissed."""
        return tuple(alarm for alarm in self._alarms if alarm.kind not in self._dismissed)

    @property
    def is_open(self) -> bool:
        """Whether what was found is shown now."""
        return self._fold.isChecked() and bool(self.alarms)

    def set_room(self, has_room: bool) -> None:
        """Say whether others keep their room while it is open. Where not, it takes all, and opens only when asked."""
        if has_room == self._has_room:
            return
        self._has_room = has_room
        self._scroll.setMaximumHeight(_MOST_HEIGHT if has_room else _NO_LIMIT)
        vertical = QSizePolicy.Policy.Maximum if has_room else QSizePolicy.Policy.Preferred
        self.setSizePolicy(QSizePolicy.Policy.Preferred, vertical)
        if not has_room:
            self._fold.setChecked(False)

    def clear(self, *, is_at_rest: bool = False) -> None:
        """Know nothing: another training is shown, perhaps one that nobody trains now."""
        self._alarms, self._is_checked, self._is_at_rest = (), False, is_at_rest
        self._dismissed.clear()
        self._show()

    def show_health(self, event: HealthChecked) -> None:
        """Show what stands now."""
        is_same = self._is_checked and event.alarms == self._alarms
        before = {alarm.kind for alarm in self.alarms}
        self._alarms, self._is_checked = event.alarms, True
        self._dismissed &= {alarm.kind for alarm in event.alarms}
        if is_same:
            return  # A button under the pointer stays where it is.
        if self._has_room and {alarm.kind for alarm in self.alarms} - before:
            self._fold.setChecked(True)
        self._show()

    def changeEvent(self, event: QEvent) -> None:
        """Draw the light in the colours of another scheme."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._show_light()

    def _show(self) -> None:
        alarms = self.alarms
        if alarms:
            words = (
                self.tr("1 thing to look at")
                if len(alarms) == 1
                else self.tr("{count} things to look at").format(count=len(alarms))
            )
        elif self._is_checked:
            words = self.tr("Healthy")
        elif self._is_at_rest:
            words = self.tr("Health: looked at while it trains")
        else:
            words = self.tr("Health: looked at after a few hundred steps")
        self._words.setText(words)
        self._show_light()
        body = QWidget()
        column = QVBoxLayout(body)
        column.setContentsMargins(0, 0, XS, 0)
        column.setSpacing(M)
        for alarm in alarms:
            column.addWidget(self._alarm_widget(alarm))
        column.addStretch()
        self._scroll.setWidget(body)
        body.setAutoFillBackground(False)  # Which `setWidget` has switched on: the card shows through.
        self._fold.setVisible(bool(alarms))
        self._show_fold()

    def _show_light(self) -> None:
        light: _Light = "alarmed" if self.alarms else "healthy" if self._is_checked else "unknown"
        scheme = colours()
        name, colour = {
            "unknown": ("clock", scheme.muted),
            "healthy": ("check", SUCCESS),
            "alarmed": ("alert", scheme.warning),
        }[light]
        self._light.setPixmap(icon(name, colour=QColor(colour)).pixmap(QSize(20, 20)))

    def _show_fold(self) -> None:
        is_open = self._fold.isChecked()
        self._fold.setIcon(icon("chevron-up" if is_open else "chevron-down"))
        tip = self.tr("Hide what was found") if is_open else self.tr("Show what was found")
        self._fold.setToolTip(tip)
        self._fold.setAccessibleName(tip)
        self._scroll.setVisible(self.is_open)
        body = self._scroll.widget()
        if body is not None:
            self._scroll.setMinimumHeight(min(_MOST_HEIGHT // 2, body.sizeHint().height()))
        self.opened.emit(self.is_open)

    def _alarm_widget(self, alarm: Alarm) -> QWidget:
        frame = QFrame()
        frame.setObjectName(f"alarm_{alarm.kind}")
        sentence = plain_label(shown_paragraph(alarm.sentence), wrap=True)
        evidence = plain_label(shown_paragraph(alarm.evidence), role="muted", wrap=True)
        dismiss = QToolButton()
        dismiss.setObjectName(f"dismiss_{alarm.kind}")
        dismiss.setIcon(icon("close"))
        dismiss.setToolTip(self.tr("Dismiss"))
        dismiss.setAccessibleName(self.tr("Dismiss: {what}").format(what=alarm.sentence))
        dismiss.clicked.connect(lambda: self._dismiss(alarm.kind))
        remedies = RemedyRows(alarm.remedies, is_narrow=True)
        remedies.chosen.connect(self.remedy_chosen)
        top = QHBoxLayout()
        top.setSpacing(S)
        top.addWidget(sentence, 1)
        top.addWidget(dismiss, 0, Qt.AlignmentFlag.AlignTop)
        column = QVBoxLayout(frame)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(XS)
        column.addLayout(top)
        column.addWidget(evidence)
        column.addWidget(remedies)
        return frame

    def _dismiss(self, kind: AlarmKind) -> None:
        self._dismissed.add(kind)
        self._show()
