"""What can be done about a training that goes wrong: a few words for a button, and the settings that it changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Remedy:
    """One thing to do, one click away.

    Attributes:
        text: What the button says, such as "Halve the discriminators' rate".
        changes: Fields of `TrainConfig` with their new values, as pairs; none where only the user can act.
        begins_anew: Whether it takes a new training with these settings; otherwise this one goes on with them.
        hint: A sentence about what it costs, or what the user has to do.
    """

    text: str
    changes: tuple[tuple[str, Any], ...] = ()
    begins_anew: bool = False
    hint: str = ""

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Remedy:
        """The remedy that `dataclasses.asdict` has made JSON of.

        Raises:
            KeyError: Something is missing.
            TypeError: It is of another shape.
        """
        return cls(**{**values, "changes": tuple((str(name), value) for name, value in values["changes"])})
