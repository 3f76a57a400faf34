from __future__ import annotations

import logging

from PySide6.QtWidgets import QWidget

from cyclegan_desktop.taskbar import NoTaskbar, UnityTaskbar, WindowsTaskbar, make_taskbar


def test_each_system_has_its_own(qtbot):
    window = QWidget()
    qtbot.addWidget(window)
    kinds = {"win32": WindowsTaskbar, "linux": UnityTaskbar, "darwin": NoTaskbar}
    for platform, kind in kinds.items():
        assert type(make_taskbar(window, platform)) is kind
    NoTaskbar().show("working", 0.5)


def test_a_dock_is_told_each_percent_once():
    sent = []
    taskbar = UnityTaskbar(lambda address, properties: sent.append((address, dict(properties))))
    taskbar.show("none")
    for share in (0.2, 0.2001, 0.21, 2.0):
        taskbar.show("working", share)
    taskbar.show("none", 0.3)
    assert {address for address, _ in sent} == {"application://cyclegan-desktop.desktop"}
    assert [properties["progress"] for _, properties in sent] == [0.2, 0.21, 1.0, 0.0]
    assert [properties["progress-visible"] for _, properties in sent] == [True, True, True, False]


def test_the_button_of_windows_shows_share_and_state():
    told = []

    class Interface:
        def SetProgressState(self, window, flag):
            told.append((window, flag))

        def SetProgressValue(self, window, done, total):
            told.append((window, done, total))

    taskbar = WindowsTaskbar(lambda: 7, Interface)
    taskbar.show("working", 0.5)
    taskbar.show("paused", 0.5)
    taskbar.show("none")
    assert told == [(7, 0x2), (7, 50, 100), (7, 0x8), (7, 50, 100), (7, 0x0)]


def test_what_cannot_be_shown_stops_nobody(caplog):
    def fail(*_):
        raise OSError("no such interface")

    caplog.set_level(logging.INFO)
    for taskbar in (UnityTaskbar(fail), WindowsTaskbar(lambda: 7, fail)):
        taskbar.show("working", 0.5)
    assert caplog.text.count("no such interface") == 2


def test_without_a_bus_it_is_silent(qapp, monkeypatch, capfd):
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    UnityTaskbar().show("working", 0.5)
    assert capfd.readouterr().err == ""
