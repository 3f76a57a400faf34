"""The way of the engine's events to the window."""

from __future__ import annotations

import pytest

from cyclegan_desktop.conversion.batch_queue import _Flow
from engine.events import ConvertingFile, FileSkipped


def test_thousands_of_skipped_pictures_come_in_few_pieces_and_in_order(tmp_path):
    closed = []

    def work():
        try:
            for index in range(1000):
                yield FileSkipped(index, tmp_path, tmp_path, True, "")
            yield ConvertingFile(1000, tmp_path)
            raise ZeroDivisionError
        finally:
            closed.append(True)

    flow = _Flow()
    pieces = []
    with pytest.raises(ZeroDivisionError):
        for piece in flow.of(work()):
            flow.take()
            pieces.append(piece)
    events = [event for piece in pieces for event in piece]
    assert [event.index for event in events] == list(range(1001))
    assert len(pieces) < 200
    # What begins is told at once, however long it takes.
    assert isinstance(pieces[-1][-1], ConvertingFile)
    assert closed == [True]


def test_closing_the_flow_closes_the_converter(tmp_path):
    closed = []

    def work():
        try:
            while True:
                yield ConvertingFile(0, tmp_path)
        finally:
            closed.append(True)

    going = _Flow().of(work())
    next(going)
    going.close()
    assert closed == [True]
