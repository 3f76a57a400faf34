"""The models that Convert offers: those of the library, the starter, and what was converted with lately."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from cyclegan_desktop.conversion.batches import Batch
from cyclegan_desktop.resource_files import resources_folder
from cyclegan_desktop.settings import Settings
from engine.conversion.model_file import BEST_FILE_NAME, MODEL_FILE_NAME, ModelInfo
from engine.errors import EngineError

logger = logging.getLogger(__name__)

STARTER_MODEL: Final = "starter.safetensors"
"""The model in the resources with which Convert works at the first start."""


class KnownModels:
    """Reads what is known of models, and gives every batch its own."""

    def __init__(self, settings: Settings, read_model: Callable[[Path], ModelInfo]) -> None:
        self._settings = settings
        self._read_model = read_model
        self._models: dict[Path, ModelInfo] = {}
        # What was converted with in this sitting, such as moments of trainings, in order.
        self._used: dict[Path, None] = {}

    @property
    def starter(self) -> Path:
        """Where the starter model is, or would be."""
        return resources_folder() / STARTER_MODEL

    def read(self, model: Path) -> ModelInfo:
        """What is known of a file or the folder of a training.

        Raises:
            EngineError: It is no model, or damaged, or gone.
        """
        return self._read_model(model)

    def use(self, info: ModelInfo) -> None:
        """Offer this model as long as the app runs, and first at the next start."""
        self._used[info.path] = None
        self._settings.last_model = info.path
        self._settings.save()

    def joins_library(self, model: Path, used: Path | None) -> bool:
        """Put what was opened into the library, if it is what is used now and is not there; whether it was put."""
        known = self._settings.library
        is_used = used in (model, model / MODEL_FILE_NAME, model / BEST_FILE_NAME)
        if not is_used or model in known or model.parent in known:
            return False
        self._settings.remember_in_library(model)
        return True

    def refresh(self, batches: Sequence[Batch]) -> None:
        """Read all anew. A batch without a model gets one; one whose model is not there says so, and keeps it."""
        starter, last = self.starter, self._settings.last_model
        candidates = [*self._settings.library, starter, *([last] if last else []), *self._used]
        candidates += [batch.wished_model for batch in batches if batch.wished_model is not None]
        readable: dict[Path, ModelInfo] = {}
        for path in candidates:
            if path in readable or (path == starter and not path.exists()):
                continue
            try:
                readable[path] = self._read_model(path)
            except EngineError as error:
                # A training without a save yet, or a disk that is not connected: it comes back by itself.
                logger.info("Not offered for converting: %s", error)
        self._models = {info.path: info for info in readable.values()}
        preferred = (last, starter, *readable)
        for batch in batches:
            if batch.wished_model is None:
                batch.model = next((readable[path] for path in preferred if path in readable), None)
                batch.wished_model = batch.model.path if batch.model is not None else None
                continue
            # Never another one by itself: with that, the pictures would become something else.
            there = self._models.get(batch.wished_model)
            batch.is_model_gone = there is None
            batch.model = there or batch.model

    def offered_to(self, batch: Batch) -> list[ModelInfo]:
        """Every model that can be chosen, with the one of this batch even if that was not found among them."""
        models = dict(self._models)
        if batch.model is not None and (batch.is_under_way or not batch.is_model_gone):
            models.setdefault(batch.model.path, batch.model)
        return list(models.values())
