"""Steps whose numbers are not finite: found and counted on the device, so that no step waits for the answer."""

from __future__ import annotations

import torch
from torch import Tensor

LARGEST_GRADIENT = 1e18
"""Adam squares gradients. The square of a larger one is infinite in float32 and stays in its running mean for good, so
that its weight would never move again, although every weight is finite."""


@torch.no_grad()
def all_usable(gradients: list[Tensor]) -> Tensor:
    """Whether all gradients (of one dtype, on one device) are finite, and their squares too: a bool on the device."""
    largest = torch._foreach_norm(gradients, float("inf"))
    # Nothing is true of what is no number.
    return (torch.stack(list(largest)) <= LARGEST_GRADIENT).all()


class BadSteps:
    """Counts the steps whose numbers were not finite, on the device."""

    def __init__(self, device: torch.device) -> None:
        self._zero = torch.zeros((), device=device)
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self._row = self._longest_row = self._count = self._zero

    @torch.no_grad()
    def add(self, is_good: Tensor, is_excused: Tensor) -> None:
        """Count a step.

        Args:
            is_good: Whether its numbers were finite: a bool on the device, [].
            is_excused: Whether it counts for nothing if they were not, since what is wrong is being put right.
        """
        is_bad = ~is_good & ~is_excused
        self._row = torch.where(is_bad, self._row + 1, torch.where(is_good, self._zero, self._row))
        self._longest_row = torch.maximum(self._longest_row, self._row)
        self._count = self._count + is_bad

    def take(self) -> Tensor:
        """Bad steps since the last call, and the longest row of them that went on in that time: [2], on the device."""
        taken = torch.stack([self._count, self._longest_row])
        self._count = self._longest_row = self._zero
        return taken
