from __future__ import annotations

from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QHelpEvent, QWheelEvent
from PySide6.QtWidgets import QApplication, QToolTip, QVBoxLayout, QWidget

from cyclegan_desktop.widgets import (
    ElidedLabel,
    EmptyState,
    NoWheelComboBox,
    NoWheelSpinBox,
    plain_label,
    plain_tooltip,
    set_look,
)

HOSTILE = "<img src=x><b>bold</b>.png"


def test_a_name_that_looks_like_html_is_shown_as_it_is_typed(qtbot):
    label, words = plain_label(HOSTILE), plain_label("x" * len(HOSTILE))
    for widget in (label, words):
        qtbot.addWidget(widget)
    assert label.text() == HOSTILE
    assert label.textFormat() == Qt.TextFormat.PlainText
    # Taken for HTML, only "bold.png" would be drawn.
    assert label.sizeHint().width() > 0.5 * words.sizeHint().width()


def test_a_tooltip_holds_no_tags_of_a_name():
    assert plain_tooltip(HOSTILE) == "<span>&lt;img src=x&gt;&lt;b&gt;bold&lt;/b&gt;.png</span>"
    assert plain_tooltip("") == ""


def test_a_long_path_is_cut_and_whole_in_the_tooltip(qtbot):
    path = "/home/" + "very-long-name/" * 40
    label = ElidedLabel(path)
    qtbot.addWidget(label)
    assert label.minimumSizeHint().width() < 100
    label.resize(200, 24)
    assert not label.grab().isNull()
    assert (label.text(), label.toolTip()) == (path, f"<span>{path}</span>")
    assert asks_for_its_tooltip(label)
    label.setText("/home")
    assert not asks_for_its_tooltip(label)


def asks_for_its_tooltip(label: ElidedLabel) -> bool:
    event = QHelpEvent(QEvent.Type.ToolTip, QPoint(5, 5), label.mapToGlobal(QPoint(5, 5)))
    QApplication.sendEvent(label, event)
    is_shown = QToolTip.isVisible()
    QToolTip.hideText()
    return is_shown and event.isAccepted()


def test_a_name_that_is_no_text_can_be_shown(qtbot):
    label = ElidedLabel("/home/caf\udce9.png")
    qtbot.addWidget(label)
    assert label.text() == "/home/caf\ufffd.png"
    assert label.toolTip() == "<span>/home/caf\ufffd.png</span>"


def test_a_look_shows_at_once(qtbot):
    label = plain_label("No such folder.")
    qtbot.addWidget(label)
    label.setStyleSheet('QLabel[role="error"] { color: #ff0000; }')
    label.ensurePolished()
    assert label.palette().windowText().color().name() != "#ff0000"
    set_look(label, "role", "error")
    assert label.palette().windowText().color().name() == "#ff0000"


def wheel(widget: QWidget) -> QWheelEvent:
    event = QWheelEvent(
        QPointF(5, 5),
        QPointF(widget.mapToGlobal(QPoint(5, 5))),
        QPoint(),
        QPoint(0, -120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(widget, event)
    return event


def test_the_wheel_scrolls_past_boxes_that_have_no_focus(qtbot):
    window = QWidget()
    qtbot.addWidget(window)
    layout = QVBoxLayout(window)
    combo, spin = NoWheelComboBox(), NoWheelSpinBox()
    combo.addItems(["first", "second"])
    spin.setValue(50)
    layout.addWidget(combo)
    layout.addWidget(spin)
    with qtbot.waitActive(window):
        window.show()
        window.activateWindow()
    window.setFocus()
    assert not wheel(combo).isAccepted()
    assert not wheel(spin).isAccepted()
    assert (combo.currentIndex(), spin.value()) == (0, 50)
    combo.setFocus()
    wheel(combo)
    spin.setFocus()
    wheel(spin)
    assert (combo.currentIndex(), spin.value()) == (1, 49)


def test_an_empty_page_says_what_to_do_and_offers_it(qtbot):
    state = EmptyState("train", "No training yet", "Choose two folders.", "Start...")
    qtbot.addWidget(state)
    assert state.action_button is not None
    with qtbot.waitSignal(state.action):
        qtbot.mouseClick(state.action_button, Qt.MouseButton.LeftButton)
