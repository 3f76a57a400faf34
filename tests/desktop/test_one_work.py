from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from cyclegan_desktop.engine_thread import Failure
from cyclegan_desktop.one_work import OneWork
from engine.errors import DataError


@pytest.fixture
def work(qapp: QApplication) -> Iterator[OneWork]:
    made = OneWork()
    yield made
    made.close()


def _fails() -> Iterator[int]:
    yield 1
    raise DataError("No such folder.")


def test_the_next_may_begin_when_the_end_is_told(work: OneWork, qtbot: QtBot) -> None:
    told: list[object] = []
    pieces = iter([_fails, lambda: iter([2, 3])])

    def start_next(_: object = None) -> None:
        assert not work.is_running
        piece = next(pieces, None)
        if piece is not None:
            work.start(piece)

    work.reported.connect(told.append)
    work.ended.connect(told.append)
    work.ended.connect(start_next)
    start_next()
    assert work.is_running
    qtbot.waitUntil(lambda: told == [1, Failure("No such folder.", "", ""), 2, 3, None])


def test_after_closing_everything_is_told(work: OneWork, qapp: QApplication) -> None:
    is_at_work = threading.Event()
    told: list[object] = []

    def for_ever() -> Iterator[int]:
        while True:
            is_at_work.set()
            yield 1

    work.reported.connect(lambda _: None)
    work.ended.connect(told.append)
    work.start(for_ever)
    assert is_at_work.wait(20)
    work.close()
    assert told == [None]
    assert not work.is_running
    qapp.processEvents()
    assert told == [None]
