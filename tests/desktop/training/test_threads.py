from __future__ import annotations

import threading
from collections.abc import Iterator

from pytestqt.qtbot import QtBot

from cyclegan_desktop.training.threads import LatestWork, ThreadKeeper
from engine.errors import DataError


def test_only_the_latest_work_is_heard(qtbot: QtBot) -> None:
    keeper = ThreadKeeper()
    work = LatestWork(keeper)
    heard: list[object] = []
    work.reported.connect(heard.append)
    gate = threading.Event()

    def slow() -> Iterator[str]:
        yield "slow 1"
        gate.wait(60)
        yield "slow 2"

    work.start(slow)
    qtbot.waitUntil(lambda: heard == ["slow 1"])
    with qtbot.waitSignal(work.done):
        work.start(lambda: iter(["quick"]))
        gate.set()
    qtbot.waitUntil(lambda: not keeper.running)
    qtbot.wait(20)
    assert heard == ["slow 1", "quick"]


def test_dropped_work_is_closed_and_ends_unheard(qtbot: QtBot) -> None:
    keeper = ThreadKeeper()
    work = LatestWork(keeper)
    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        except GeneratorExit:
            closed.set()
            raise

    with qtbot.waitSignal(work.reported):
        work.start(endless)
    with qtbot.assertNotEmitted(work.done), qtbot.assertNotEmitted(work.failed):
        work.drop()
        qtbot.waitUntil(lambda: not keeper.running)
    assert closed.is_set()
    assert not work.is_running


def test_a_failure_is_told(qtbot: QtBot) -> None:
    keeper = ThreadKeeper()
    work = LatestWork(keeper)

    def failing() -> Iterator[int]:
        raise DataError("The folder is empty.", field="folder_A")
        yield 1

    with qtbot.waitSignal(work.failed) as failed:
        work.start(failing)
    assert failed.args[0].message == "The folder is empty."
    assert failed.args[0].field == "folder_A"
    assert not work.is_running
    qtbot.waitUntil(lambda: not keeper.running)


def test_the_keeper_waits_for_what_nobody_waits_for(qtbot: QtBot) -> None:
    keeper = ThreadKeeper()
    work = LatestWork(keeper)

    def endless() -> Iterator[int]:
        while True:
            yield 1

    with qtbot.waitSignal(work.reported):
        work.start(endless)
    work.deleteLater()
    keeper.stop_all()
    assert keeper.running == []
