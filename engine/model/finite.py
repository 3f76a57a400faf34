"""Steps whose numbers are not finite: found and counted on the device, so that no step waits for the answer."""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def all_finite(tensors: list[Tensor]) -> Tensor:
    """Whether every number of all tensors (of one dtype, on one device) is finite: a bool on the device, []."""
    largest = torch._foreach_norm(tensors, float("inf"))
    return torch.stack(list(largest)).isfinite().all()


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
