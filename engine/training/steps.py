"""The steps of a training, as each of its processes takes them: pictures, rate, size, and what the losses were."""

from __future__ import annotations

import contextlib
import dataclasses
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.config import TrainConfig
from engine.data.picture_cache import CacheRoom, free_disk_room
from engine.data.unpaired import Batch, UnpairedImages
from engine.device import available_memory, is_out_of_memory, reading_threads
from engine.errors import DataError, OutOfMemoryError
from engine.events import LOSS_NAMES, Losses
from engine.model.cyclegan import CycleGAN
from engine.model.picture_tensors import unit_range
from engine.ranks import Ranks, local_rank_and_count
from engine.training.memory_remedies import memory_remedies
from engine.training.run import Choices, Pictures
from engine.training.schedule import PlateauState, growth, learning_rate, total_steps

# Where a folder of pictures cannot be cached whole, a quarter of the free memory is left to be taken by it.
_CACHE_SHARE = 0.25
_CYCLE_LOSSES = slice(LOSS_NAMES.index("cycle_A"), LOSS_NAMES.index("cycle_B") + 1)


@dataclass(frozen=True, slots=True)
class Taken:
    """What the steps since the last report were like.

    Attributes:
        losses: Their means over the steps in which they were finite; None where there was none.
        left_out: Steps that moved nothing, since their numbers were not finite.
        bad_row: The longest row of such steps.
    """

    losses: Losses | None
    left_out: int
    bad_row: int


class Steps:
    """The steps of a training that are still to be taken.

    Attributes:
        model: What is trained.
        step: Steps taken.
        steps_per_epoch: Steps of an epoch.
        schedule_end: The step at which the schedule is done.
        end: The step at which this training ends: that, or `max_steps`.
        rate: Adam's rate at the newest step.
    """

    def __init__(
        self,
        model: CycleGAN,
        config: TrainConfig,
        choices: Choices,
        pictures: Pictures,
        ranks: Ranks,
        *,
        step: int = 0,
        plateau: PlateauState | None = None,
        rate_factor: float = 1.0,
    ) -> None:
        self.model = model
        model.bad_steps.forget()
        self.step = step
        self._config = config
        self._choices = choices
        self._rate_factor = rate_factor
        self._ranks = ranks
        self._images = UnpairedImages(
            pictures.train_A,
            pictures.train_B,
            config,
            room=cache_room(model.device, config.run),
            readers=reading_threads(),
            pinned=model.device.type == "cuda",
            rank=ranks.rank,
            ranks=ranks.count,
        )
        self.steps_per_epoch = self._images.steps_per_epoch
        self.schedule_end = config.total_epochs * self.steps_per_epoch + choices.offset
        self.end = total_steps(config, self.steps_per_epoch, choices.offset)
        self._batches = self._images.batches(self._position)
        self._batch: Batch | None = None
        self._waited = 0.0
        self._prepared: int | None = None
        # Summed on the device, so that no step waits for it.
        self._loss_sum: Tensor | None = None
        self._plateau = plateau or PlateauState()
        # MPS has no float64.
        exact = torch.float32 if model.device.type == "mps" else torch.float64
        self._cycle_sum = torch.tensor(self._plateau.loss_sum, dtype=exact, device=model.device)
        self._cycle_mean = self._cycle_sum
        self.rate = self._rate_now()
        self._notes: list[str] = []

    @property
    def epoch(self) -> int:
        """The epoch of the newest step, from 0."""
        return self._epoch_at(max(0, self._position - 1))

    @property
    def is_new_to_gpu(self) -> bool:
        """Whether the next step is the first of its size on a GPU, which loads and records its kernels for seconds."""
        return _is_gpu(self.model.device) and self._prepared != growth(
            self._config, self._position, self.steps_per_epoch
        )

    @property
    def plateau(self) -> PlateauState | None:
        """Where the schedule "plateau" was when losses were last taken; None for other schedules."""
        if self._config.schedule != "plateau":
            return None
        return dataclasses.replace(self._plateau, loss_sum=self._cycle_mean.item())

    def fetch(self) -> DataError | None:
        """Wait for the pictures of the next step; returns why they do not come.

        Raises:
            OutOfMemoryError: They do not fit into memory.
        """
        begun = time.perf_counter()
        try:
            with training_errors(self._config, self._choices):
                self._batch = next(self._batches)
        except DataError as error:
            return error
        finally:
            self._waited += time.perf_counter() - begun
        return None

    def take(self) -> None:
        """Take the next step, on the pictures just fetched.

        Raises:
            OutOfMemoryError: Settings for more memory than there is.
            RunError: Another process has ended.
        """
        assert self._batch is not None
        batch, self._batch = self._batch, None
        shrink = self._prepared = self._growth()
        self.rate = self._rate_now()
        with training_errors(self._config, self._choices), self._ranks.losing_others():
            losses = self.model.step(
                self._on_device(batch.real_A, shrink),
                self._on_device(batch.real_B, shrink),
                first_number=batch.first_number,
                learning_rate=self.rate,
                number=self.step,
            )
            values = torch.stack([losses[name].float() for name in LOSS_NAMES])
            is_finite = values.isfinite()
            # The sums, and from how many steps each comes.
            # Not by `where` with a number, for which CUDA would be waited for.
            values = torch.stack([values.nan_to_num(0.0, 0.0, 0.0), is_finite.float()])
            self._loss_sum = values if self._loss_sum is None else self._loss_sum + values
            self.step += 1
            if self._config.schedule == "plateau":
                self._add_to_plateau(values[0, _CYCLE_LOSSES].sum())

    def take_losses(self) -> Taken | None:
        """What the steps since the last call were like, over all ranks; None without such a step.

        Waits for the device, and for all ranks.

        Raises:
            OutOfMemoryError: The device ran out of memory in a step.
            RunError: Another process has ended.
        """
        if self._loss_sum is None:
            return None
        with training_errors(self._config, self._choices), self._ranks.losing_others():
            numbers = torch.cat([self._loss_sum.flatten(), self.model.bad_steps.take()])
            *sums, left_out, bad_row = self._ranks.mean(numbers).tolist()
            if self._config.schedule == "plateau":
                self._cycle_mean = self._ranks.mean(self._cycle_sum)
        self._loss_sum = None
        count = len(LOSS_NAMES)
        pairs = list(zip(sums[:count], sums[count:], strict=True))
        losses = Losses(*(total / steps for total, steps in pairs)) if all(steps for _, steps in pairs) else None
        return Taken(losses, left_out=round(left_out), bad_row=round(bad_row))

    def take_waiting(self) -> float:
        """Seconds since the last call in which this process has waited for pictures."""
        waited, self._waited = self._waited, 0.0
        return waited

    def take_notes(self) -> list[str]:
        """What the user should know since the last call: pictures that cannot be read, a size that has grown.

        And what the model has to say.
        """
        notes, self._notes = [*self._notes, *self._images.take_problems(), *self.model.take_notes()], []
        return notes

    def give_back_disk(self) -> bool:
        """Give up the pictures that are kept on the run's disk; returns whether that has freed any of it."""
        return self._images.give_back_disk()

    def close(self) -> None:
        """Stop reading pictures."""
        self._batches.close()
        self._images.close()

    @property
    def _position(self) -> int:
        """Steps that a training of this many ranks takes to come this far."""
        return self.step - self._choices.offset

    def _epoch_at(self, position: int) -> int:
        return min(position // self.steps_per_epoch, self._config.total_epochs - 1)

    def _rate_now(self) -> float:
        scheduled = learning_rate(self._config, self._epoch_at(self._position))
        return scheduled * self._plateau.factor * self._rate_factor

    def _growth(self) -> int:
        """By how much the pictures of the next step are smaller than the training's size."""
        shrink = growth(self._config, self._position, self.steps_per_epoch)
        if self._position > 0 and shrink != growth(self._config, self._position - 1, self.steps_per_epoch):
            self._notes.append(
                f"From step {self.step:,} on, pictures are trained on at {self._config.size // shrink} px."
            )
        return shrink

    def _on_device(self, pictures: Tensor, shrink: int) -> Tensor:
        """[N, C, H, W] in 0..255 -> [N, C, H / shrink, W / shrink] in [-1, 1], on the device."""
        whole = unit_range(pictures.to(self.model.device, non_blocking=True))
        return whole if shrink == 1 else F.interpolate(whole, scale_factor=1 / shrink, mode="area")

    def _add_to_plateau(self, cycle_loss: Tensor) -> None:
        self._cycle_sum = self._cycle_sum + cycle_loss
        self._plateau = dataclasses.replace(self._plateau, steps=self._plateau.steps + 1)
        if self._position % self.steps_per_epoch == 0:
            mean = self._ranks.mean(self._cycle_sum).item() / self._plateau.steps
            self._plateau = self._plateau.after_epoch(mean)
            self._cycle_sum = torch.zeros_like(self._cycle_sum)


def cache_room(device: torch.device, run: Path) -> CacheRoom:
    """What decoded pictures of this process may take.

    Args:
        device: What trains.
        run: The training's folder, on whose disk lies what does not fit into memory; it may not be there yet.
    """
    processes = local_rank_and_count()[1]
    memory = available_memory(torch.device("cpu")) // processes
    share = _CACHE_SHARE if device.type != "cpu" else _CACHE_SHARE / 2
    folder = run
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return CacheRoom(int(memory * share), free_disk_room(folder) // processes, folder)


@contextlib.contextmanager
def training_errors(config: TrainConfig, choices: Choices | None = None) -> Iterator[None]:
    """Turn the many ways in which memory runs out into one sentence with remedies.

    Args:
        config: The settings that need too much.
        choices: Device and precision; remedies can only be offered if they are known.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch.OutOfMemoryError is a RuntimeError.
        if not is_out_of_memory(error):
            raise
        # What the step had computed so far would stay for as long as somebody looks at the error.
        traceback.clear_frames(error.__traceback__)
        remedies = memory_remedies(config, torch.device(choices.device), choices.precision) if choices else ()  # type: ignore[arg-type]
        raise OutOfMemoryError(
            f"There is not enough memory to train at {config.size} px with batch size {config.batch_size}. Choose a "
            "smaller picture size, batch size or number of channels, or close other programs; a training already "
            "begun can be resumed from its last checkpoint.",
            remedies=remedies,
        ) from error


def _is_gpu(device: torch.device) -> bool:
    return device.type != "cpu"
