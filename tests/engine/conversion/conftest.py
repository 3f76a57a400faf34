"""A tiny model, and conversions in threads of the test's own process."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from engine import convert
from engine.config import TrainConfig
from engine.conversion import converter, start
from engine.conversion.model_file import write_model
from engine.data.workers import Workers
from engine.events import ConvertEvent
from tests.engine.conversion.batches import make_job, tiny_generator


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a second thread makes tiny networks many times slower."""
    monkeypatch.setattr(converter, "all_threads", lambda: 1)


class InThreads:
    """Stands in for the processes, which would take half a second a test and see nothing of what a test replaces."""

    def __init__(self, count: int, time_limit: float, *, ready_for: str) -> None:
        self._pool = ThreadPoolExecutor(count)

    def start(self) -> None:
        pass

    def grow(self, count: int) -> None:
        pass

    def submit(self, function: Callable[..., object], *args: object) -> Future[object]:
        return self._pool.submit(function, *args)

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def __enter__(self) -> InThreads:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@pytest.fixture
def in_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "Workers", InThreads)


@pytest.fixture
def in_processes(monkeypatch: pytest.MonkeyPatch, in_threads: None) -> None:
    """For tests that mean the real thing."""
    monkeypatch.setattr(start, "Workers", Workers)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model whose b2a gives black pictures."""
    G_AB, G_BA = tiny_generator(), tiny_generator()
    last = G_BA.model[-1]
    with torch.no_grad():
        last.bias.fill_(-9.0)
    config = TrainConfig(
        folder_A=tmp_path,
        folder_B=tmp_path,
        run=tmp_path,
        name_A="Reds",
        name_B="Blues",
        size=32,
        load_size=32,
        blocks=1,
        channels=2,
        long_skip=True,
    )
    path = tmp_path / "model.safetensors"
    write_model(path, {"a2b": G_AB, "b2a": G_BA}, config, steps=1)
    return path


@pytest.fixture
def run(model: Path, tmp_path: Path) -> Callable[..., list[ConvertEvent]]:
    """Converts to `out` on the CPU in fp32 and gives back the events."""

    def convert_all(*sources: Path, **values: object) -> list[ConvertEvent]:
        return list(convert(make_job(model, tmp_path, *sources, **values)))

    return convert_all
