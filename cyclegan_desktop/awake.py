"""Keeps the machine from falling asleep while it works for the user, as far as the system lets itself be asked."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wakepy import ActivationResult

logger = logging.getLogger(__name__)


class KeepAwake:
    """Asks the system to stay awake while at least one reason holds; the screen may go dark all the same.

    It never raises and never waits: the system is asked in a thread of its own, since a bus may take its time, and
    Windows counts such wishes by thread. What is asked for ends with the process at the latest.
    """

    def __init__(
        self, ask: Callable[[], AbstractContextManager[object]] | None = None, *, is_allowed: bool = True
    ) -> None:
        """Ask for nothing yet.

        Args:
            ask: Keeps the machine awake while it is entered; None does so on this system.
            is_allowed: Whether the user wants it at all.
        """
        self._ask = ask or _ask_system
        self._is_allowed = is_allowed
        self._reasons: set[str] = set()
        self._is_asked = False
        self._wishes: queue.SimpleQueue[bool | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def set_reason(self, reason: str, holds: bool) -> None:
        """Say whether this reason to stay awake holds now."""
        (self._reasons.add if holds else self._reasons.discard)(reason)
        self._update()

    def set_allowed(self, is_allowed: bool) -> None:
        """Say whether the user wants the machine kept awake."""
        self._is_allowed = is_allowed
        self._update()

    def close(self) -> None:
        """Ask for nothing any more."""
        self._reasons.clear()
        self._update()
        if self._thread is not None:
            self._wishes.put(None)
            self._thread.join(1.0)
            self._thread = None

    def _update(self) -> None:
        wanted = self._is_allowed and bool(self._reasons)
        if wanted == self._is_asked:
            return
        self._is_asked = wanted
        if self._thread is None:
            # A daemon: a bus that never answers keeps nobody from closing the app.
            self._thread = threading.Thread(target=self._follow, name="awake", daemon=True)
            self._thread.start()
        self._wishes.put(wanted)

    def _follow(self) -> None:
        """Do what is wished, one wish after the other."""
        with ExitStack() as held:
            while (wanted := self._wishes.get()) is not None:
                try:
                    if wanted:
                        held.enter_context(self._ask())
                    else:
                        held.close()
                except Exception as error:  # Whatever a library or a bus comes up with: work matters more than this.
                    logger.info("The machine may fall asleep while it works: %s", error)


def _ask_system() -> AbstractContextManager[object]:
    from wakepy import keep

    # It tells each of its attempts otherwise.
    logging.getLogger("wakepy").setLevel(logging.ERROR)

    def note(result: ActivationResult) -> None:
        logger.info("The machine may fall asleep while it works: %s", " ".join(result.get_failure_text().split()))

    return keep.running(on_fail=note)
