"""Sees pictures much larger than those the model was trained on, and says on the options card what that does."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from PySide6.QtCore import QObject, QTimer

from cyclegan_desktop.conversion.options import ConversionOptions
from cyclegan_desktop.conversion.size_dialog import Comparing, Preview, SizeDialog
from cyclegan_desktop.engine_thread import Failure
from cyclegan_desktop.one_work import OneWork
from engine.config import Direction, Resize
from engine.conversion.model_file import ModelInfo
from engine.conversion.preview import preview_sizes
from engine.data.images import read_size
from engine.errors import PictureError

logger = logging.getLogger(__name__)

_LOOKED_AT: Final = 16
"""Pictures, from all over the list, whose sizes are read."""

_PATIENCE_MS: Final = 200
"""Time after the last change of the list: while a folder is looked through it changes all the time."""

ReadSize: TypeAlias = Callable[[Path], tuple[int, int]]


@dataclass(frozen=True, slots=True)
class _Measured:
    picture: Path
    size: tuple[int, int] | None


class SizeAdvice(QObject):
    """Advises on the size of the results as long as the original one is chosen.

    The user can take what is offered, compare the sizes side by side, or wave the advice away for a model.
    """

    def __init__(
        self,
        options: ConversionOptions,
        parent: QObject | None = None,
        *,
        read: ReadSize = read_size,
        preview: Preview = preview_sizes,
    ) -> None:
        super().__init__(parent)
        self._options = options
        self._read = read
        self._preview = preview
        self._model: ModelInfo | None = None
        self._direction: Direction = "a2b"
        self._sample: tuple[Path, ...] = ()
        self._sizes: dict[Path, tuple[int, int] | None] = {}
        self._unwanted: set[Path] = set()
        self._dialog: SizeDialog | None = None
        self._is_closed = False
        self._soon = QTimer(self, singleShot=True, interval=_PATIENCE_MS)
        self._soon.timeout.connect(self._measure)
        self._work = OneWork(self)
        self._work.reported.connect(self._take)
        self._work.ended.connect(self._work_ended)
        options.choices_changed.connect(self._refresh)
        options.size_hint.use_asked.connect(options.set_resize)
        options.size_hint.compare_asked.connect(self.compare)
        options.compare_sizes_asked.connect(self.compare)
        options.size_hint.dismissed.connect(self._dismiss)

    @property
    def large_pictures(self) -> list[tuple[Path, tuple[int, int]]]:
        """Those looked at that are much larger than the training size, each with its width and height."""
        model = self._model
        if model is None:
            return []
        sizes = ((picture, self._sizes.get(picture)) for picture in self._sample)
        return [(picture, size) for picture, size in sizes if size is not None and model.is_small_for(size)]

    @property
    def is_settled(self) -> bool:
        """Whether every size that is wanted is known."""
        return not self._soon.isActive() and not self._work.is_running

    def look(self, pictures: Sequence[Path], model: ModelInfo | None, direction: Direction) -> None:
        """Advise on these pictures and this model from now on. It looks at a few of them, and is quick.

        Args:
            pictures: All that are to be converted.
            model: The model to convert with, None for none.
            direction: "a2b" or "b2a".
        """
        if (model, direction) != (self._model, self._direction):
            self._close_dialog()
        self._model, self._direction = model, direction
        # An end of the list that grows would be another one each time.
        stride = 1 << max(0, (max(len(pictures) - 1, 0) // _LOOKED_AT).bit_length())
        self._sample = tuple(pictures[::stride])
        self._sizes = {picture: self._sizes[picture] for picture in self._sample if picture in self._sizes}
        if len(self._sizes) < len(self._sample) and not self._is_closed:
            self._soon.start()
        self._refresh()

    def compare(self) -> None:
        """Show the sizes side by side, for the large pictures."""
        pictures = self.large_pictures
        if self._model is None or not pictures or self._is_closed:
            return
        if self._dialog is not None:
            self._dialog.raise_()
            self._dialog.activateWindow()
            return
        choices = self._options.choices
        long_skip = self._model.architecture.long_skip
        ways: tuple[Resize, ...] = (None, "change", "training") if long_skip else (None, "training")
        comparing = Comparing(
            model=self._model.path,
            direction=self._direction,
            trained=self._model.size,
            pictures=tuple(pictures),
            ways=ways,
            device=choices.device,
            engine=choices.engine,
            memory_gb=choices.memory_gb,
            max_megapixels=choices.max_megapixels,
        )
        self._dialog = SizeDialog(comparing, self._preview, self._options.window())
        self._dialog.chosen.connect(self._choose)
        self._dialog.finished.connect(self._forget_dialog)
        self._dialog.show()

    def close(self) -> None:
        """Stop everything, and wait for it."""
        self._is_closed = True
        self._soon.stop()
        if self._dialog is not None:
            dialog = self._dialog
            dialog.stop()
            dialog.close()
        self._work.close()

    def _measure(self) -> None:
        if self._work.is_running or self._is_closed:
            return  # It begins anew by itself.
        unknown = [picture for picture in self._sample if picture not in self._sizes]
        if unknown:
            read = self._read
            self._work.start(lambda: _measured(unknown, read))

    def _take(self, measured: _Measured) -> None:
        if measured.picture in self._sample:
            self._sizes[measured.picture] = measured.size
            self._refresh()

    def _work_ended(self, failure: Failure | None) -> None:
        if failure is not None:
            logger.warning("The sizes of pictures could not be read: %s", failure.message)
        else:
            self._measure()

    def _refresh(self) -> None:
        """Show the advice, or take it back."""
        hint, model, pictures = self._options.size_hint, self._model, self.large_pictures
        is_original = self._options.choices.resize is None
        self._options.set_can_compare_sizes(bool(pictures))
        if model is not None and not is_original:
            self._unwanted.discard(model.path)
        if model is None or not pictures or not is_original or model.path in self._unwanted:
            hint.hide()
            return
        picture, size = max(pictures, key=lambda each: each[1][0] * each[1][1])
        hint.show_advice(picture, size, model.size, long_skip=model.architecture.long_skip)

    def _dismiss(self) -> None:
        if self._model is not None:
            self._unwanted.add(self._model.path)
        self._refresh()

    def _choose(self, way: Resize) -> None:
        if way is None:
            self._dismiss()
        self._options.set_resize(way)

    def _close_dialog(self) -> None:
        if self._dialog is not None:
            self._dialog.close()

    def _forget_dialog(self) -> None:
        self._dialog = None


def _measured(pictures: Sequence[Path], read: ReadSize) -> Iterator[_Measured]:
    for picture in pictures:
        try:
            yield _Measured(picture, read(picture))
        except (PictureError, MemoryError, OSError):  # The conversion has the sentence for it.
            yield _Measured(picture, None)
