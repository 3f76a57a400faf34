from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from engine.config import TrainConfig
from engine.data import picture_cache, unpaired
from engine.data.picture_cache import CacheRoom
from engine.events import Notice, Saved, StepReport
from engine.model.cyclegan import CycleGAN
from engine.ranks import Ranks
from engine.training import saver
from engine.training import steps as module
from engine.training.preparing import choose, find_pictures
from engine.training.steps import Steps, cache_room
from engine.training.trainer import train

MakeConfig = Callable[..., TrainConfig]


class NoAnswers(TorchDispatchMode):
    """Forbids whatever waits for a device to learn a number from it."""

    _WAITING = ("_local_scalar_dense", "is_nonzero", "nonzero", "masked_select", "equal")

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func.name().split("::")[1].split(".")[0] not in self._WAITING, f"{func} waits for the device"
        return func(*args, **(kwargs or {}))


@pytest.fixture
def steps(tiny_config: MakeConfig) -> Iterator[Callable[..., Steps]]:
    made: list[Steps] = []

    def make(**values: object) -> Steps:
        config = tiny_config(**values)
        model = CycleGAN(config, torch.device("cpu"))
        made.append(Steps(model, config, choose(config), find_pictures(config), Ranks()))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"lambda_identity": 0.0, "diff_augment": True, "ema_decay": 0.9},
        {"clip_gradient": 1.0, "gradient_penalty": 1.0, "accumulate": 2},
        {"schedule": "plateau", "per_direction": True},
        {"norm": "batch", "dropout": True},
        {"grow_from": 32, "size": 64, "load_size": 72},
    ],
)
def test_no_step_between_reports_waits_for_the_device(steps: Callable[..., Steps], values: dict[str, object]) -> None:
    taken = steps(**{"epochs": 8, "pool_size": 2, **values})
    # While the pools fill, how full they are depends on whether a step was good.
    for _ in range(3):
        assert taken.fetch() is None
        taken.take()
    for _ in range(2):
        assert taken.fetch() is None
        with NoAnswers():
            taken.take()
    assert taken.take_losses() is not None


def test_waiting_for_pictures_is_told_once(steps: Callable[..., Steps], monkeypatch: pytest.MonkeyPatch) -> None:
    read = unpaired.read_resized

    def slowly(*args: object, **values: object) -> torch.Tensor:
        time.sleep(0.05)
        return read(*args, **values)  # type: ignore[arg-type]

    monkeypatch.setattr(unpaired, "read_resized", slowly)
    slow = steps()
    assert slow.fetch() is None
    assert slow.take_waiting() > 0
    assert slow.take_waiting() == 0


def test_the_share_of_waiting_is_in_the_reports(tiny_config: MakeConfig) -> None:
    reports = [event for event in train(tiny_config()) if isinstance(event, StepReport)]
    assert reports
    assert all(0 <= report.waiting <= 1 for report in reports)


def test_pictures_may_take_part_of_memory_and_of_the_disk_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "available_memory", lambda device: 8000)
    monkeypatch.setattr(module, "free_disk_room", lambda folder: 900)
    cpu = torch.device("cpu")
    assert cache_room(cpu, tmp_path) == CacheRoom(1000, 900, tmp_path)
    assert cache_room(cpu, tmp_path / "not" / "there") == CacheRoom(1000, 900, tmp_path)
    monkeypatch.setattr(module, "local_rank_and_count", lambda: (1, 3))
    assert cache_room(cpu, tmp_path) == CacheRoom(333, 300, tmp_path)


def test_a_full_disk_is_given_back_what_pictures_take_and_then_it_is_saved(
    tiny_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(picture_cache, "is_worth_a_file", lambda seconds: True)
    monkeypatch.setattr(picture_cache, "DISK_RESERVE_BYTES", 0)
    monkeypatch.setattr(module, "cache_room", lambda device, run: CacheRoom(0, 10**8, tmp_path))
    given_back: list[bool] = []
    give_back = Steps.give_back_disk
    monkeypatch.setattr(Steps, "give_back_disk", lambda self: given_back.append(give_back(self)) or given_back[-1])
    save = saver.save_checkpoint

    def save_where_there_is_room(*args: Any, step: int, **values: Any) -> Path:
        if step > 0 and not any(given_back):
            raise OSError(errno.ENOSPC, "No space left on device")
        return save(*args, step=step, **values)

    monkeypatch.setattr(saver, "save_checkpoint", save_where_there_is_room)
    events = list(train(tiny_config()))
    assert given_back == [True]
    assert not [event for event in events if isinstance(event, Notice) and "stored" in event.text]
    assert [event.step for event in events if isinstance(event, Saved)][-1] == 12
