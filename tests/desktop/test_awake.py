from __future__ import annotations

import contextlib
import logging
import time

import pytest

from cyclegan_desktop.awake import KeepAwake


class FakeSystem:
    """Counts who keeps it awake."""

    def __init__(self) -> None:
        self.told: list[str] = []

    @contextlib.contextmanager
    def ask(self):
        self.told.append("awake")
        yield
        self.told.append("asleep")


@pytest.fixture
def system() -> FakeSystem:
    return FakeSystem()


@pytest.fixture
def awake(system):
    made = KeepAwake(system.ask)
    yield made
    made.close()


def wait_for(condition) -> None:
    for _ in range(2000):
        if condition():
            return
        time.sleep(0.005)
    raise AssertionError("It did not come to that.")


def test_it_stays_awake_while_there_is_a_reason(awake, system):
    awake.set_reason("training", True)
    awake.set_reason("conversion", True)
    awake.set_reason("training", False)
    awake.set_reason("conversion", False)
    awake.set_reason("conversion", False)
    awake.set_reason("training", True)
    wait_for(lambda: system.told == ["awake", "asleep", "awake"])
    awake.close()
    assert system.told == ["awake", "asleep", "awake", "asleep"]


def test_whoever_does_not_want_it_is_not_kept_awake(system):
    awake = KeepAwake(system.ask, is_allowed=False)
    awake.set_reason("training", True)
    awake.set_allowed(True)
    wait_for(lambda: system.told == ["awake"])
    awake.set_allowed(False)
    wait_for(lambda: system.told == ["awake", "asleep"])
    awake.close()


def test_a_system_that_cannot_be_asked_stops_nobody(caplog):
    def ask():
        raise OSError("no bus")

    caplog.set_level(logging.INFO)
    awake = KeepAwake(ask)
    awake.set_reason("training", True)
    wait_for(lambda: "The machine may fall asleep while it works: no bus" in caplog.text)
    awake.set_reason("training", False)
    awake.close()


@pytest.mark.skipif("sys.platform != 'linux'", reason="Elsewhere there is no bus to be missing")
def test_without_a_bus_it_is_a_note_in_the_log(caplog, monkeypatch):
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    caplog.set_level(logging.INFO)
    awake = KeepAwake()
    awake.set_reason("training", True)
    wait_for(lambda: "The machine may fall asleep" in caplog.text)
    assert "DBUS_SESSION_BUS_ADDRESS" in caplog.text
    assert {record.levelname for record in caplog.records} == {"INFO"}
    awake.close()
