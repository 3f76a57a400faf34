"""What a process of several does about errors, without any other process."""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist

from engine.device import is_out_of_memory
from engine.ranks import LostRankError, Ranks, joined_ranks


def test_memory_that_runs_out_in_a_collective_is_not_taken_for_the_loss_of_another() -> None:
    for error in (
        RuntimeError("NCCL error: unhandled cuda error, Cuda failure 2 'out of memory'"),
        torch.OutOfMemoryError("CUDA out of memory in nccl"),
    ):
        with pytest.raises(RuntimeError) as caught, Ranks(0, 2).losing_others():
            raise error
        assert caught.value is error and is_out_of_memory(error)
    with pytest.raises(LostRankError), Ranks(0, 2).losing_others():
        raise RuntimeError("NCCL error: remote process exited")


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Makes this process one of two, of which the other is never asked; lists when the group was destroyed."""
    told: list[str] = []
    values = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2"}
    for name, value in {**values, "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(dist, "init_process_group", lambda backend: None)
    monkeypatch.setattr(dist, "new_group", lambda **_: dist.ProcessGroup(0, 2))
    monkeypatch.setattr(dist, "destroy_process_group", lambda: told.append("left"))
    return told


def test_a_process_leaves_the_others_at_a_clean_end(left: list[str]) -> None:
    with joined_ranks() as ranks:
        assert (ranks.count, left) == (2, [])
    assert left == ["left"]


def test_a_stop_is_a_clean_end(left: list[str]) -> None:
    with pytest.raises(GeneratorExit), joined_ranks():
        raise GeneratorExit
    assert left == ["left"]


def test_after_an_error_a_process_does_not_wait_for_the_others(left: list[str]) -> None:
    with pytest.raises(ValueError, match="an error"), joined_ranks():
        raise ValueError("an error")
    assert left == []
