"""Serving two folders of pictures unpaired: (seed, step) -> (real_A, real_B)."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as transforms

from engine.data.images import read_pixels
from engine.errors import DataError, PictureError
from engine.randomness import Stream, random_at

_LOOK_AHEAD = 3


@dataclass(frozen=True, slots=True)
class Batch:
    """The pictures of one step.

    Attributes:
        step: The step they are for, from 0.
        first_number: Number of the first picture of each side, counted over the whole training.
        real_A: [B, 3, S, S] uint8, on the CPU.
        real_B: [B, 3, S, S] uint8.
    """

    step: int
    first_number: int
    real_A: Tensor
    real_B: Tensor


class UnpairedImages:
    """Two lists of pictures, and which of them a step sees.

    As in the reference, an epoch is max(|A|, |B|) pictures of each side: A in an order shuffled anew each epoch
    (wrapping where it is the shorter side), B drawn uniformly with replacement. Each picture is resized to
    `load_size` squared (bicubic, ignoring its aspect), cropped at a random place and flipped with probability 1/2,
    each side on its own. All of it is a function of (seed, number of the picture).

    A picture that cannot be read is replaced by the next one of its side; `problems` says so.

    Attributes:
        steps_per_epoch: The last step of an epoch may have fewer pictures.
    """

    def __init__(
        self,
        pictures_A: Sequence[Path],
        pictures_B: Sequence[Path],
        *,
        size: int,
        load_size: int,
        batch_size: int,
        seed: int,
        cache_bytes: int,
    ) -> None:
        """Look at nothing yet.

        Args:
            pictures_A: Training pictures of A, in a fixed order.
            pictures_B: Training pictures of B.
            size: Side of a crop, in pixels.
            load_size: Side of a whole picture before cropping, in pixels.
            batch_size: Pictures of each side in a step.
            seed: The training's seed.
            cache_bytes: Memory for pictures already decoded and resized; the others are read again each time.
        """
        self._sides = (
            _Side(pictures_A, load_size, cache_bytes // 2),
            _Side(pictures_B, load_size, cache_bytes // 2),
        )
        self._size = size
        self._batch_size = batch_size
        self._seed = seed
        self._epoch_length = max(len(pictures_A), len(pictures_B))
        self._order: tuple[int, npt.NDArray[np.int64]] = (-1, np.empty(0, np.int64))
        self.steps_per_epoch = math.ceil(self._epoch_length / batch_size)

    def batch(self, step: int) -> Batch:
        """The pictures of a step, from 0.

        Raises:
            DataError: No picture of a side can be read any more.
        """
        epoch, place = divmod(step, self.steps_per_epoch)
        first = place * self._batch_size
        last = min(first + self._batch_size, self._epoch_length)
        order = self._order_of(epoch)
        numbers = [epoch * self._epoch_length + i for i in range(first, last)]
        side_A, side_B = self._sides
        real_A = [
            self._crop(side_A.picture(int(order[i]) % len(side_A)), Stream.AUGMENT_A, number)
            for i, number in zip(range(first, last), numbers, strict=True)
        ]
        real_B = [
            self._crop(side_B.picture(self._partner(number, len(side_B))), Stream.AUGMENT_B, number)
            for number in numbers
        ]
        return Batch(step, numbers[0], torch.stack(real_A), torch.stack(real_B))

    def batches(self, first_step: int) -> Generator[Batch, None, None]:
        """The pictures of every step from `first_step` on, without end, prepared ahead in a thread of their own."""
        ahead: deque[Future[Batch]] = deque()
        with ThreadPoolExecutor(1, "pictures") as reader:
            try:
                for step in range(first_step, first_step + _LOOK_AHEAD):
                    ahead.append(reader.submit(self.batch, step))
                while True:
                    batch = ahead.popleft().result()
                    ahead.append(reader.submit(self.batch, batch.step + _LOOK_AHEAD))
                    yield batch
            finally:
                reader.shutdown(cancel_futures=True)

    def take_problems(self) -> list[str]:
        """A sentence for each picture found unreadable since the last call."""
        return [problem for side in self._sides for problem in side.take_problems()]

    def _order_of(self, epoch: int) -> npt.NDArray[np.int64]:
        if self._order[0] != epoch:
            self._order = (epoch, random_at(self._seed, Stream.ORDER, epoch).permutation(self._epoch_length))
        return self._order[1]

    def _partner(self, number: int, count: int) -> int:
        return int(random_at(self._seed, Stream.PARTNER, number).integers(count))

    def _crop(self, picture: Tensor, stream: Stream, number: int) -> Tensor:
        """[3, L, L] -> [3, S, S], at a random place, flipped or not."""
        random = random_at(self._seed, stream, number)
        top, left = (int(place) for place in random.integers(picture.shape[-1] - self._size + 1, size=2))
        cropped: Tensor = transforms.crop(picture, top, left, self._size, self._size)
        return transforms.horizontal_flip(cropped) if random.random() < 0.5 else cropped.clone()


class _Side:
    """The pictures of one domain, decoded and resized, kept in memory as far as they fit."""

    def __init__(self, pictures: Sequence[Path], load_size: int, cache_bytes: int) -> None:
        self._pictures = pictures
        self._load_size = load_size
        self._places_left = cache_bytes // (3 * load_size * load_size)
        self._cache: dict[int, Tensor] = {}
        self._broken: set[int] = set()
        self._problems: list[str] = []
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._pictures)

    def picture(self, index: int) -> Tensor:
        """[3, L, L] uint8: picture `index`, or the next one that can be read."""
        for offset in range(len(self._pictures)):
            place = (index + offset) % len(self._pictures)
            if place in self._cache:
                return self._cache[place]
            if place in self._broken:
                continue
            try:
                picture = load_square(self._pictures[place], self._load_size)
            except PictureError as error:
                self._leave_out(place, str(error))
                continue
            if self._places_left > 0:
                self._places_left -= 1
                self._cache[place] = picture
            return picture
        raise DataError(
            f"None of the {len(self._pictures):,} pictures of {self._pictures[0].parent} can be read any more. "
            "Is the folder still there? Bring it back, then resume the training."
        )

    def take_problems(self) -> list[str]:
        with self._lock:
            problems, self._problems = self._problems, []
        return problems

    def _leave_out(self, place: int, reason: str) -> None:
        self._broken.add(place)
        with self._lock:
            self._problems.append(f"{reason} Training goes on without this picture.")


def load_square(path: Path, side: int) -> Tensor:
    """[3, side, side] uint8: the picture resized with bicubic filtering, ignoring its aspect, as the reference does.

    Raises:
        PictureError: It cannot be read.
    """
    picture = Image.fromarray(read_pixels(path))
    resized = transforms.resize(picture, [side, side], interpolation=InterpolationMode.BICUBIC)
    tensor: Tensor = transforms.pil_to_tensor(resized)
    return tensor
