"""Waiting that gives the consumer of a job's events chances to stop it."""

from __future__ import annotations

import time
from collections.abc import Generator as Work
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from typing import Any

from engine.events import Preparing

HEARTBEAT_SECONDS = 0.5


def wait(future: Future[Any], heartbeat: Preparing) -> Work[Preparing, None, None]:
    """Wait for a result; now and then the consumer gets a chance to stop."""
    while wait_for([future], HEARTBEAT_SECONDS).not_done:
        yield heartbeat


def pause(seconds: float, heartbeat: Preparing) -> Work[Preparing, None, None]:
    """Wait; now and then the consumer gets a chance to stop."""
    deadline = time.monotonic() + seconds
    yield heartbeat
    while (left := deadline - time.monotonic()) > 0:
        time.sleep(min(left, HEARTBEAT_SECONDS))
        yield heartbeat
