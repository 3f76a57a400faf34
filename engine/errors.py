"""What can go wrong, each as a sentence fit for a dialog.

Every message names the file or the value concerned and says what to do. Nothing else is raised on purpose by the
engine; any other exception that leaves it is a bug.
"""

from __future__ import annotations

from engine.remedies import Remedy


class EngineError(Exception):
    """Something went wrong that the user can understand and mend. `str(error)` is shown as it is."""


class ConfigError(EngineError, ValueError):
    """A setting is nonsense.

    Attributes:
        field: Name of the field of `TrainConfig` or `ConvertJob` beside which the sentence belongs.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class DataError(EngineError):
    """A folder of pictures cannot be used as it is.

    Attributes:
        field: Name of the field beside which the sentence belongs (`folder_A`, `folder_B`, `run`), or "".
    """

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class PictureError(EngineError):
    """One picture cannot be read or written; the rest of the batch goes on."""


class RunError(EngineError):
    """The folder of a training cannot be created, opened or resumed."""


class ModelFileError(EngineError):
    """A file is not a model of ours, or it is damaged."""


class DivergedError(EngineError):
    """The training produced numbers that are not finite; nothing of it was saved."""


class OutOfMemoryError(EngineError):
    """The device has too little memory for these settings.

    Attributes:
        remedies: What would need less, the mildest first; each can be taken with the training's last checkpoint.
    """

    def __init__(self, message: str, *, remedies: tuple[Remedy, ...] = ()) -> None:
        super().__init__(message)
        self.remedies = remedies
