from __future__ import annotations

from PySide6.QtWidgets import QApplication, QWidget

from cyclegan_desktop.notification import Notifier


def test_a_notification_only_calls_someone_who_is_elsewhere(qtbot, monkeypatch):
    window = QWidget()
    qtbot.addWidget(window)
    called = []
    monkeypatch.setattr(QApplication, "alert", called.append)
    notifier = Notifier(lambda: window)
    notifier.tell("Conversion finished", "Photos: 3 converted")
    assert called == [window]
    monkeypatch.setattr(window, "isActiveWindow", lambda: True)
    notifier.tell("Conversion finished", "Photos: 3 converted")
    assert called == [window]
