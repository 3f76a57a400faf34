"""Time of a piece of work that is a generator: what its consumer spends between two events counts nowhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TypeVar

_Event = TypeVar("_Event")


class Stopwatch:
    """Runs from the moment it is made, but for the time spent inside `tell`."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._away = 0.0

    @property
    def seconds(self) -> float:
        """Seconds of work so far."""
        return time.monotonic() - self._start - self._away

    def tell(self, event: _Event) -> Iterator[_Event]:
        """Yield the event; the time until the consumer wants the next one is not counted."""
        left = time.monotonic()
        try:
            yield event
        finally:
            self._away += time.monotonic() - left
