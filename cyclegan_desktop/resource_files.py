"""Where the icons, the sample and the starter model are. Needs no Qt."""

from __future__ import annotations

import sys
from pathlib import Path


def resources_folder() -> Path:
    """The folder of icons, sample and starter model: installed, in a checkout or in a frozen app."""
    package = Path(__file__).resolve().parent
    frozen = getattr(sys, "_MEIPASS", None)
    candidates = [package / "resources", package.parent / "resources"]
    if frozen is not None:
        candidates.insert(0, Path(frozen) / "resources")
    # Only the packaged folder holds icons; a checkout's editable install has none beside the package.
    return next((folder for folder in candidates if (folder / "icons").is_dir()), candidates[-1])
