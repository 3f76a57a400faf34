"""Serving two folders of pictures unpaired: (seed, step) -> (real_A, real_B)."""

from __future__ import annotations

import dataclasses
import math
import threading
import time
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.config import TrainConfig
from engine.data.picture_cache import CacheRoom, PictureCache
from engine.data.preprocess import DecodedPicture, crop_and_flip, read_resized
from engine.errors import DataError, PictureError
from engine.randomness import Stream, random_at

# Steps whose pictures are prepared: each reader is at one, and these are ready or nearly so. Three at least, and more
# only as far as that takes little memory.
_READY = 2
_LEAST_AHEAD = 3
_AHEAD_BYTES = 256_000_000


@dataclass(frozen=True, slots=True)
class Batch:
    """The pictures of one step.

    Attributes:
        step: The step they are for, from 0.
        first_number: Number of the first picture of each side, counted over the whole training and all ranks. The
            others follow it one by one: no other step and no other rank has the same numbers.
        real_A: [N, C, H, W] on the CPU; uint8, or float32 in 0..255 with fractions where a picture of it has more than
            8 bits. C is 1 if the domain is grey, else 3.
        real_B: [N, C, H, W], its height and width its own.
    """

    step: int
    first_number: int
    real_A: Tensor
    real_B: Tensor


class UnpairedImages:
    """Two lists of pictures, and which of them a step sees.

    As in the reference, an epoch is max(|A|, |B|) pictures of each side: A in an order shuffled anew each epoch
    (wrapping where it is the shorter side), B drawn uniformly with replacement; with `serial` both in the order of
    their lists. Each picture is preprocessed as the training says, by default resized to `load_size` squared (bicubic,
    ignoring its aspect), cropped at a random place and flipped with probability 1/2, each side on its own. All of it
    is a function of (seed, number of the picture).

    Several ranks divide each step of an epoch among them: together they see what one process would with as many times
    the batch. Where pictures do not divide, ranks see some of the epoch's first again, so that none waits for another.

    A picture that cannot be read is replaced by the next one of its side; `take_problems` says so.

    Attributes:
        steps_per_epoch: The last step of an epoch may have fewer pictures.
    """

    def __init__(
        self,
        pictures_A: Sequence[Path],
        pictures_B: Sequence[Path],
        config: TrainConfig,
        *,
        room: CacheRoom,
        readers: int = 1,
        pinned: bool = False,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        """Look at nothing yet.

        Args:
            pictures_A: Training pictures of A, in a fixed order.
            pictures_B: Training pictures of B.
            config: The training: its seed, its batch, and how pictures are preprocessed.
            room: For pictures already decoded and resized; the others are read again each time.
            readers: Threads that prepare the pictures of steps to come. While they are faster than the steps, one of
                them is at work at a time.
            pinned: Whether batches lie in page-locked memory, from which a CUDA device fetches them by itself.
            rank: Which process of the training this is, from 0.
            ranks: How many there are.
        """
        total = len(pictures_A) + len(pictures_B)
        self._sides = (
            _Side(pictures_A, config, config.grey_A, room.part(len(pictures_A), total)),
            _Side(pictures_B, config, config.grey_B, room.part(len(pictures_B), total)),
        )
        self._config = config
        self._readers = readers
        self._pinned = pinned
        self._rank = rank
        self._ranks = ranks
        self._count = config.batch_size * config.accumulate
        self._epoch_length = max(len(pictures_A), len(pictures_B))
        self._share = math.ceil(self._epoch_length / ranks)
        self._order: tuple[int, npt.NDArray[np.int64]] = (-1, np.empty(0, np.int64))
        self.steps_per_epoch = math.ceil(self._share / self._count)

    def batch(self, step: int) -> Batch:
        """The pictures of a step, from 0; `batch_size` times `accumulate` of each side, fewer at the end of an epoch.

        Raises:
            DataError: No picture of a side can be read any more.
        """
        epoch, place = divmod(step, self.steps_per_epoch)
        count = min(self._count, self._share - place * self._count)
        first = place * self._count * self._ranks + self._rank * count
        first_number = epoch * self._share * self._ranks + first
        jitter = self._config.jitter_in_decay or epoch < self._config.epochs
        real_A: list[DecodedPicture] = []
        real_B: list[DecodedPicture] = []
        for offset in range(count):
            number = first_number + offset
            index_A, index_B = self._indices(epoch, (first + offset) % self._epoch_length, number)
            for pictures, side, index, stream in (
                (real_A, self._sides[0], index_A, Stream.AUGMENT_A),
                (real_B, self._sides[1], index_B, Stream.AUGMENT_B),
            ):
                random = random_at(self._config.seed, stream, number)
                pictures.append(crop_and_flip(side.picture(index, jitter=jitter), self._config, random))
        return Batch(step, first_number, self._stacked(real_A), self._stacked(real_B))

    def batches(self, first_step: int) -> Generator[Batch, None, None]:
        """The pictures of every step from `first_step` on, without end, prepared ahead in threads of their own."""
        ahead: deque[Future[Batch]] = deque()
        count = self._steps_ahead()
        with ThreadPoolExecutor(self._readers, "pictures") as readers:
            try:
                for step in range(first_step, first_step + count):
                    ahead.append(readers.submit(self.batch, step))
                while True:
                    batch = ahead.popleft().result()
                    ahead.append(readers.submit(self.batch, batch.step + count))
                    yield batch
            finally:
                readers.shutdown(cancel_futures=True)

    def close(self) -> None:
        """Forget all pictures that were kept."""
        for side in self._sides:
            side.close()

    def give_back_disk(self) -> bool:
        """Give up the pictures kept on disk, since its space is needed; returns whether that has freed any."""
        has_freed = [side.give_back_disk() for side in self._sides]
        return any(has_freed)

    def take_problems(self) -> list[str]:
        """A sentence for each picture found unreadable since the last call."""
        return [problem for side in self._sides for problem in side.take_problems()]

    def _indices(self, epoch: int, position: int, number: int) -> tuple[int, int]:
        """Which pictures of A and B stand at a position of an epoch; `number` draws that of B."""
        side_A, side_B = self._sides
        if self._config.serial:
            return position % len(side_A), position % len(side_B)
        partner = random_at(self._config.seed, Stream.PARTNER, number).integers(len(side_B))
        return int(self._order_of(epoch)[position]) % len(side_A), int(partner)

    def _order_of(self, epoch: int) -> npt.NDArray[np.int64]:
        known, order = self._order
        if known != epoch:
            order = random_at(self._config.seed, Stream.ORDER, epoch).permutation(self._epoch_length)
            # At once, since another reader may be at another epoch.
            self._order = (epoch, order)
        return order

    def _steps_ahead(self) -> int:
        height, width = self._config.crop_size
        of_step = 2 * self._count * 3 * height * width
        return max(_LEAST_AHEAD, min(self._readers + _READY, _AHEAD_BYTES // of_step))

    def _stacked(self, pictures: list[DecodedPicture]) -> Tensor:
        """N of [C, H, W] -> [N, C, H, W]; float32 if one of them is."""
        is_deep = any(picture.dtype == np.float32 for picture in pictures)
        size = (len(pictures), *pictures[0].shape)
        batch = torch.empty(size, dtype=torch.float32 if is_deep else torch.uint8, pin_memory=self._pinned)
        # By NumPy: torch would take threads of its own for it, and begin anew for each reader.
        for place, picture in zip(batch.numpy(), pictures, strict=True):
            place[...] = picture
        return batch


class _Side:
    """The pictures of one domain, decoded and resized, kept as far as there is room."""

    def __init__(self, pictures: Sequence[Path], config: TrainConfig, grey: bool, room: CacheRoom) -> None:
        self._room = room
        self._cache = PictureCache(room)
        self._pictures = pictures
        self._config = config
        self._grey = grey
        self._jitter = True
        self._broken: set[int] = set()
        self._problems: list[str] = []
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._pictures)

    def picture(self, index: int, *, jitter: bool) -> DecodedPicture:
        """[C, H, W] as `read_resized` has it: picture `index`, or the next one that can be read."""
        cache = self._cache_of(jitter=jitter)
        for offset in range(len(self._pictures)):
            place = (index + offset) % len(self._pictures)
            if place in self._broken:
                continue
            kept = cache.get(place)
            if kept is not None:
                return kept
            begun = time.perf_counter()
            try:
                picture = read_resized(self._pictures[place], self._config, grey=self._grey, jitter=jitter).numpy()
            except PictureError as error:
                self._leave_out(place, str(error))
                continue
            cache.keep(place, picture, seconds=time.perf_counter() - begun)
            return picture
        raise DataError(
            f"None of the {len(self._pictures):,} pictures of {self._pictures[0].parent} can be read any more. "
            "Is the folder still there? Bring it back, then resume the training."
        )

    def take_problems(self) -> list[str]:
        with self._lock:
            problems, self._problems = self._problems, []
        return problems

    def give_back_disk(self) -> bool:
        with self._lock:
            self._room = dataclasses.replace(self._room, disk=0)
            return self._cache.give_back_disk()

    def close(self) -> None:
        with self._lock:
            self._cache.close()

    def _cache_of(self, *, jitter: bool) -> PictureCache:
        """The pictures kept of epochs with or without jitter, which have other sizes."""
        with self._lock:
            if self._jitter and not jitter:
                # The epochs with jitter do not come back.
                self._cache.close()
                self._cache = PictureCache(self._room)
                self._jitter = False
            return self._cache if jitter == self._jitter else PictureCache(CacheRoom(0))

    def _leave_out(self, place: int, reason: str) -> None:
        with self._lock:
            if place not in self._broken:
                self._broken.add(place)
                self._problems.append(f"{reason} Training goes on without this picture.")
