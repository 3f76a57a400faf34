"""Names for new files and folders that every system and disk takes."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

_LONGEST_NAME_BYTES: Final = 255


def free_path(folder: Path, stem: str, suffix: str = "") -> Path:
    """A path in `folder` that is not there yet: stem and suffix, or "stem (2)" and so on with the suffix.

    What some system does not allow in a name becomes "-", and what is too long for one is cut off.
    """
    stem = re.sub(r'[<>:"/\\|?*\x00-\x1f]', "-", stem).strip(" .")
    number = 1
    while True:
        ending = suffix if number == 1 else f" ({number}){suffix}"
        room = _LONGEST_NAME_BYTES - len(ending.encode())
        # A letter of which only half has room is left out.
        short = stem.encode(errors="ignore")[:room].decode(errors="ignore").rstrip(" .")
        path = folder / f"{short}{ending}"
        # Path.exists would raise where the folder's own path is too long.
        if not os.path.exists(path):  # noqa: PTH110
            return path
        number += 1
