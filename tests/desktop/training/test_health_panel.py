from __future__ import annotations

import pytest
from PySide6.QtWidgets import QFrame, QLabel, QPushButton, QToolButton
from pytestqt.qtbot import QtBot

from cyclegan_desktop.training.health_panel import HealthPanel
from engine.events import Alarm, AlarmKind, HealthChecked
from engine.remedies import Remedy


def _alarm(kind: AlarmKind, *remedies: Remedy) -> Alarm:
    return Alarm(kind, f"This is {kind}.", "The number is 0.01.", remedies)


@pytest.fixture
def panel(qtbot: QtBot) -> HealthPanel:
    made = HealthPanel()
    qtbot.addWidget(made)
    made.resize(400, 300)
    made.show()
    return made


def _words(panel: HealthPanel) -> str:
    return panel.findChild(QLabel, "health_words").text()


def _shown(panel: HealthPanel) -> list[str]:
    return [label.text() for label in panel.findChildren(QLabel) if label.isVisible() and label.text()]


def test_it_is_told_in_words(panel: HealthPanel) -> None:
    assert _words(panel) == "Health: looked at after a few hundred steps"
    panel.show_health(HealthChecked(1, ()))
    assert _words(panel) == "Healthy"
    panel.show_health(HealthChecked(2, (_alarm("collapsed"),)))
    assert _words(panel) == "1 thing to look at"
    panel.show_health(HealthChecked(3, (_alarm("collapsed"), _alarm("inverted"))))
    assert _words(panel) == "2 things to look at"
    panel.show_health(HealthChecked(4, ()))
    assert _words(panel) == "Healthy"
    assert _shown(panel) == ["Healthy"]


def test_an_alarm_shows_its_evidence_and_what_to_do(panel: HealthPanel, qtbot: QtBot) -> None:
    remedy = Remedy("Halve <b> & more", (("discriminator_rate", 0.5),), hint="It learns slower.")
    by_hand = Remedy("More pictures", hint="Add 100 pictures.")
    panel.show_health(HealthChecked(1, (_alarm("discriminator_won", remedy, by_hand),)))
    shown = _shown(panel)
    for text in (
        "This is discriminator_won.",
        "The number is 0.01.",
        "It learns slower.",
        "Add 100 pictures.",
    ):
        assert text in shown
    (button,) = panel.findChildren(QPushButton, "remedy")
    assert button.text() == "Halve <b> && more"
    with qtbot.waitSignal(panel.remedy_chosen) as chosen:
        button.click()
    assert chosen.args == [remedy]


def test_what_is_dismissed_stays_away_until_it_comes_again(panel: HealthPanel) -> None:
    both = HealthChecked(1, (_alarm("collapsed"), _alarm("inverted")))
    panel.show_health(both)
    panel.findChild(QToolButton, "dismiss_collapsed").click()
    assert _words(panel) == "1 thing to look at"
    panel.show_health(HealthChecked(2, both.alarms))
    assert [alarm.kind for alarm in panel.alarms] == ["inverted"]
    panel.show_health(HealthChecked(3, (_alarm("inverted"),)))
    panel.show_health(both)
    assert _words(panel) == "2 things to look at"
    panel.findChild(QToolButton, "dismiss_collapsed").click()
    panel.clear()
    panel.show_health(both)
    assert len(panel.alarms) == 2


def test_the_same_again_leaves_buttons_where_they_are(panel: HealthPanel) -> None:
    alarms = (_alarm("collapsed", Remedy("Stop", (("seed", 1),))),)
    panel.show_health(HealthChecked(1, alarms))
    before = panel.findChild(QPushButton, "remedy")
    panel.show_health(HealthChecked(2, alarms))
    assert panel.findChild(QPushButton, "remedy") is before


def test_what_was_found_can_be_folded_away_and_opens_for_something_new(panel: HealthPanel) -> None:
    panel.show_health(HealthChecked(1, (_alarm("collapsed"),)))
    fold = panel.findChild(QToolButton, "fold_health")
    fold.click()
    assert _shown(panel) == ["1 thing to look at"]
    panel.show_health(HealthChecked(2, (_alarm("collapsed"), _alarm("inverted"))))
    assert panel.findChild(QFrame, "alarm_inverted").isVisible()
