"""Several processes that train one model together, as `torchrun` starts them. Imports no torch.

Each process is a rank: 0, 1 and so on. Rank 0 alone makes files, reports and decides; before each step all agree on
what it has decided, since their clocks differ, and ranks that wait for different things wait for ever.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from engine.errors import RunError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.distributed import ProcessGroup

_Value = TypeVar("_Value")

# The others wait while rank 0 draws samples, saves, or pauses over a weekend. That one of them has died is seen at
# once, by its closed connection.
_PATIENCE = timedelta(days=30)

# What gloo and NCCL say then.
_LOST = ("gloo", "nccl", "connection closed", "connection reset", "broken pipe")


def rank_and_count() -> tuple[int, int]:
    """This process's rank and the number of processes that work together: (0, 1) for one that works alone."""
    if not {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys():
        return 0, 1
    return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])


def local_rank_and_count() -> tuple[int, int]:
    """The same among the processes on this machine alone."""
    rank, count = rank_and_count()
    return int(os.environ.get("LOCAL_RANK", rank)), int(os.environ.get("LOCAL_WORLD_SIZE", count))


class LostRankError(RunError):
    """Another process of the training has ended. It knows why, this one does not."""


class Ranks:
    """What this process and the others tell one another; alone, everything returns what it was given.

    Attributes:
        rank: Of this process, from 0.
        count: How many there are.
    """

    def __init__(self, rank: int = 0, count: int = 1, decisions: ProcessGroup | None = None) -> None:
        """Use `joined_ranks`."""
        self.rank = rank
        self.count = count
        self._decisions = decisions

    @property
    def is_first(self) -> bool:
        """Whether this process decides for all."""
        return self.rank == 0

    def share(self, value: _Value) -> _Value:
        """What rank 0 calls this with, on every rank.

        Raises:
            LostRankError: Another process has ended.
        """
        if self.count == 1:
            return value
        import torch.distributed as dist

        values = [value]
        with self.losing_others():
            dist.broadcast_object_list(values, src=0, group=self._decisions)
        return values[0]

    def agree(self, word: int) -> int:
        """All bits that are set in what any rank calls this with, on every rank.

        Raises:
            LostRankError: Another process has ended.
        """
        if self.count == 1:
            return word
        import torch
        import torch.distributed as dist

        words = torch.tensor(word)
        with self.losing_others():
            dist.all_reduce(words, dist.ReduceOp.BOR, group=self._decisions)
        return int(words)

    def mean(self, tensor: Tensor) -> Tensor:
        """The mean over all ranks of a tensor of floating-point numbers.

        Raises:
            LostRankError: Another process has ended.
        """
        if self.count == 1:
            return tensor
        import torch.distributed as dist

        total = tensor.clone()
        with self.losing_others():
            dist.all_reduce(total)
        return total / self.count

    @contextlib.contextmanager
    def losing_others(self) -> Iterator[None]:
        """Turn the loss of another process into a sentence.

        Raises:
            LostRankError: Another process has ended.
        """
        try:
            yield
        except RuntimeError as error:
            from engine.device import is_out_of_memory

            is_lost = any(word in str(error).lower() for word in _LOST)
            # NCCL says so of itself, too.
            if self.count == 1 or is_out_of_memory(error) or not is_lost:
                raise
            raise LostRankError(
                f"Another process of this training has ended, so this one (number {self.rank + 1} of {self.count}) "
                "ended too. Resume the training from its last checkpoint."
            ) from error


@contextlib.contextmanager
def joined_ranks() -> Iterator[Ranks]:
    """Meet the other processes that `torchrun` has started; alone where there are none.

    Gradients travel by NCCL between GPUs and by gloo between CPUs, decisions always by gloo.

    Raises:
        RunError: The others did not come.
    """
    rank, count = rank_and_count()
    if count == 1:
        yield Ranks()
        return
    import torch
    import torch.distributed as dist

    gpus = torch.cuda.is_available() and dist.is_nccl_available()
    place = local_rank_and_count()[0]
    try:
        if gpus and place < torch.cuda.device_count():
            torch.cuda.set_device(place)
        dist.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo")
        decisions = dist.new_group(backend="gloo", timeout=_PATIENCE)
    except RuntimeError as error:
        raise RunError(
            f"The {count} processes of this training did not find one another: {error}. Start them together, with "
            "torchrun."
        ) from error
    assert isinstance(decisions, dist.ProcessGroup)
    stop: GeneratorExit | None = None
    try:
        yield Ranks(rank, count, decisions)
    except GeneratorExit as error:
        stop = error
    # Only when all have come to the end together, a stop included. After an error NCCL may wait here for work that the
    # others will never do, and the sentence about it would not be told; the end of the process then closes everything.
    with contextlib.suppress(RuntimeError):
        dist.destroy_process_group()
    if stop is not None:
        raise stop
