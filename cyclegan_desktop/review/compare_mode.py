"""The ways to compare two pictures, in a file without Qt: the settings know them too."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

CompareMode: TypeAlias = Literal["slider", "side", "toggle"]
"""How two pictures are compared: with a divider, side by side, or one in place of the other."""

MODES: Final[tuple[CompareMode, ...]] = get_args(CompareMode)
