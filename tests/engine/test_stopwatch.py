from __future__ import annotations

import pytest

from engine import stopwatch
from engine.stopwatch import Stopwatch


def test_time_spent_by_the_consumer_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(stopwatch.time, "monotonic", lambda: now[0])
    watch = Stopwatch()
    now[0] = 2.0
    for _ in watch.tell("event"):
        now[0] = 100.0
    assert watch.seconds == 2.0
    now[0] = 103.0
    assert watch.seconds == 5.0


def test_closing_in_the_middle_of_an_event_counts_its_time_nowhere_either(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(stopwatch.time, "monotonic", lambda: now[0])
    watch = Stopwatch()
    telling = watch.tell("event")
    next(telling)
    now[0] = 50.0
    telling.close()
    assert watch.seconds == 0.0
