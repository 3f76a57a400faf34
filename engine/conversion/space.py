"""Room on the disk of the results: what a conversion will take, and whether it is there. Imports no torch."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterable
from pathlib import Path

from engine.config import ConvertJob, OutputFormat

RESERVE_BYTES = 32_000_000
"""Left free on the disk: with nothing at all even the notes of what is done cannot be written, nor other programs."""

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})

# fmt: off
_LOSSY = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".webp", ".avif", ".heic", ".heif", ".hif", ".jp2", ".j2k", ".j2c",
    ".jpc", ".jpf", ".jpx", ".gif",
})
# fmt: on

# Sizes of results over those of their sources, roughly as of photographs; of lossy sources first, then of others.
_FACTORS: dict[OutputFormat, tuple[float, float]] = {
    "keep": (1.3, 1.1),
    "jpg": (1.3, 0.3),
    "png": (6.0, 1.1),
    "webp": (0.9, 0.25),
    "tiff": (7.0, 1.3),
    "bmp": (12.0, 2.0),
    "gif": (2.5, 0.5),
    "avif": (0.8, 0.2),
    "jp2": (1.3, 0.3),
    "heic": (0.8, 0.2),
}
_LOSSLESS_FACTORS = (4.5, 1.0)
_HAS_BOTH = frozenset({"webp", "avif", "jp2", "heic"})
_MOST_BYTES_PER_PIXEL = 3


def estimated_bytes(sources: Iterable[tuple[Path, int]], job: ConvertJob, trained_size: int) -> int:
    """About how many bytes the results of a job will take.

    Args:
        sources: Each picture and its bytes.
        job: The job: its format and size.
        trained_size: What "training" means, in pixels.
    """
    longest = trained_size if job.resize == "training" else job.resize
    most = _MOST_BYTES_PER_PIXEL * longest**2 if isinstance(longest, int) else None
    factors = _LOSSLESS_FACTORS if job.lossless and job.format in _HAS_BOTH else _FACTORS[job.format]
    total = 0.0
    for path, size in sources:
        result = size * factors[0 if path.suffix.lower() in _LOSSY else 1]
        total += result if most is None else min(result, most)
    return int(total)


def free_bytes(folder: Path) -> int:
    """Bytes that are free on the disk of a folder; very many where the system does not tell."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 1 << 62


def is_full(error: BaseException) -> bool:
    """Whether an error means that a disk, or this user's share of it, is full."""
    return isinstance(error, OSError) and error.errno in _FULL
