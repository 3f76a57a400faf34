"""The history of generated pictures shown to a discriminator (paper, Sec. 4, after Shrivastava et al. 2017)."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.randomness import Stream, random_at


class ImagePool:
    """Remembers up to `size` generated pictures and shows the discriminator a mixture of old and new.

    While it fills, each picture is stored and returned. Then, with probability 1/2, a random stored picture is
    returned and the new one takes its place; otherwise the new one is returned and not stored. The choices are a
    function of (seed, number of the picture), so only the pictures themselves are state.
    """

    def __init__(self, size: int, seed: int, stream: Stream) -> None:
        self._size = size
        self._seed = seed
        self._stream = stream
        self.pictures: list[Tensor] = []

    def query(self, fakes: Tensor, first_number: int) -> Tensor:
        """What the discriminator sees in place of the new pictures.

        Args:
            fakes: [B, 3, H, W], detached.
            first_number: Number of the first of them, counted over the whole training.

        Returns:
            [B, 3, H, W].
        """
        if self._size == 0:
            return fakes
        return torch.cat([self._query_one(fake[None], first_number + i) for i, fake in enumerate(fakes)])

    def _query_one(self, fake: Tensor, number: int) -> Tensor:
        if len(self.pictures) < self._size:
            self.pictures.append(fake)
            return fake
        random = random_at(self._seed, self._stream, number)
        if random.random() < 0.5:
            return fake
        place = int(random.integers(self._size))
        old, self.pictures[place] = self.pictures[place], fake
        return old
