from __future__ import annotations

import logging
import threading

import pytest
from PySide6.QtCore import Qt

from cyclegan_desktop.engine_thread import EngineThread, Failure
from engine.errors import DataError, OutOfMemoryError
from engine.remedies import Remedy


@pytest.fixture
def run(qtbot):
    """Runs work to its end and tells how it ended: the signals that came, in order."""

    def run(work, act=lambda thread: None) -> list[object]:
        thread = EngineThread(work)
        ends: list[object] = []
        thread.done.connect(lambda: ends.append("done"))
        thread.stopped.connect(lambda: ends.append("stopped"))
        thread.failed.connect(ends.append)
        with qtbot.waitSignal(thread.finished):
            thread.start()
            act(thread)
        return ends

    return run


def test_work_that_ends_by_itself_is_done(run):
    assert run(lambda: iter("abc")) == ["done"]


def test_work_that_is_stopped_is_closed_in_its_own_thread_also_during_a_pause(run, qtbot):
    closed_in = []

    def work():
        try:
            while True:
                yield threading.get_ident()
        except GeneratorExit:
            closed_in.append(threading.get_ident())
            raise

    events = []

    def act(thread):
        # In the thread itself: nothing may come between the event and the pause.
        thread.event.connect(lambda _: thread.pause(), Qt.ConnectionType.DirectConnection)
        thread.event.connect(events.append, Qt.ConnectionType.DirectConnection)
        qtbot.waitUntil(lambda: bool(events))
        thread.stop()

    assert run(work, act) == ["stopped"]
    assert closed_in == events


def test_what_the_user_can_mend_is_told_and_no_alarm_in_the_log(run, caplog):
    caplog.set_level(logging.INFO)

    def work():
        yield 1
        raise DataError("Apples holds no pictures.", field="folder_A")

    assert run(work) == [Failure("Apples holds no pictures.", "folder_A", "")]
    assert [(record.levelname, record.exc_info) for record in caplog.records] == [("INFO", None)]
    assert "Apples holds no pictures." in caplog.text


@pytest.mark.parametrize("error", [ZeroDivisionError("by zero"), SystemExit(3)])
def test_a_bug_is_told_with_its_traceback(run, caplog, error):
    def work():
        yield 1
        raise error

    (failure,) = run(work)
    assert isinstance(failure, Failure)
    assert str(error) in failure.message
    assert type(error).__name__ in failure.details
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_work_that_cannot_even_begin_has_failed(run):
    def work():
        raise DataError("No such folder.")

    assert run(work) == [Failure("No such folder.", "", "")]


def test_what_would_need_less_memory_is_handed_on(run):
    remedies = (Remedy("Recompute activations", (("recompute", True),)),)

    def work():
        yield 1
        raise OutOfMemoryError("There is not enough memory.", remedies=remedies)

    assert run(work) == [Failure("There is not enough memory.", "", "", remedies)]
