"""The wizard's last page: what will be done, and how long it takes here."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QProgressBar, QVBoxLayout, QWidget

from cyclegan_desktop.plain_text import shown_paragraph
from cyclegan_desktop.style import L, M, S
from cyclegan_desktop.widgets import card, plain_label
from cyclegan_desktop.words import duration_words
from engine.config import TrainConfig
from engine.events import Estimated, Preparing


class SummaryPage(QWidget):
    """One sentence, and a time measured on this machine."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._sentence = plain_label(wrap=True)
        self._sentence.setObjectName("summary_sentence")
        self._changes = plain_label(wrap=True)
        self._changes.setObjectName("summary_changes")
        self._tests = plain_label(role="muted", wrap=True)
        self._time = plain_label(role="title", wrap=True)
        self._time.setObjectName("summary_time")
        self._how = plain_label(role="muted", wrap=True)
        self._how.setObjectName("summary_how")
        self._progress = QProgressBar()
        self._progress.setTextVisible(False)
        self._progress.setAccessibleName(self.tr("Measuring the time"))
        self._warning = plain_label(role="error", wrap=True)
        self._warning.setObjectName("summary_warning")

        words = card()
        words_layout = QVBoxLayout(words)
        words_layout.setContentsMargins(L, L, L, L)
        words_layout.setSpacing(M)
        words_layout.addWidget(self._sentence)
        words_layout.addWidget(self._changes)
        words_layout.addWidget(self._tests)
        time = card()
        time_layout = QVBoxLayout(time)
        time_layout.setContentsMargins(L, L, L, L)
        time_layout.setSpacing(S)
        for part in (self._time, self._progress, self._how, self._warning):
            time_layout.addWidget(part)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(M)
        layout.addWidget(words)
        layout.addWidget(time)
        layout.addWidget(
            plain_label(
                self.tr("The training can be stopped and resumed at any time. Your pictures are only read."),
                role="muted",
                wrap=True,
            )
        )
        layout.addStretch(1)

    def show_config(
        self, config: TrainConfig, preset: str, counts: tuple[int, int], device: str, changes: list[str]
    ) -> None:
        """Sum up what will be done.

        Args:
            config: The training.
            preset: The preset's name on screen.
            counts: Pictures of A and of B.
            device: The device in words, "" if it is not known yet.
            changes: The options that differ from the preset, each in words.
        """
        self._sentence.setText(
            self.tr(
                "Train {A} and {B} ({count_A:,} and {count_B:,} pictures) with the {preset} preset at {size} for "
                "{epochs:,} epochs on {device}, saved in {run}."
            ).format(
                A=config.name_A,
                B=config.name_B,
                count_A=counts[0],
                count_B=counts[1],
                preset=preset,
                size=_size_words(*config.crop_size),
                epochs=config.total_epochs,
                device=device or self.tr("this machine"),
                run=config.run,
            )
        )
        self._changes.setText(
            self.tr("Changed from the preset: {options}").format(options=shown_paragraph("; ".join(changes)))
        )
        self._changes.setVisible(bool(changes))
        has_tests = config.test_A is not None and config.test_B is not None
        self._tests.setText(
            self.tr("Samples are shown of the pictures in {A} and {B}, which are not trained on.").format(
                A=config.test_A, B=config.test_B
            )
        )
        self._tests.setVisible(has_tests)

    def show_measuring(self, event: Preparing | None = None) -> None:
        """Say that the time is being measured."""
        self._time.setText(self.tr("Measuring the time with a few real steps..."))
        self._how.setText(event.text if event is not None else self.tr("You need not wait for it"))
        self._warning.hide()
        self._progress.show()
        if event is not None and event.total > 0:
            self._progress.setRange(0, event.total)
            self._progress.setValue(event.done)
        else:
            self._progress.setRange(0, 0)

    def show_time(self, event: Estimated) -> None:
        """Say how long it takes."""
        self._progress.hide()
        self._time.setText(self.tr("About {time} on this machine").format(time=duration_words(event.seconds)))
        self._how.setText(
            self.tr("{steps:,} steps of {each} s, measured on {device} in {precision}").format(
                steps=event.total_steps,
                each=f"{event.seconds_per_step:.2g}",
                device=event.device,
                precision=event.precision,
            )
        )

    def warn_of_long(self, preset: str, seconds: float, quick_seconds: float | None = None) -> None:
        """Say that it takes very long, and how long the quick preset would take, as soon as that is known."""
        text = self.tr("With the {preset} preset this takes about {time} here.").format(
            preset=preset, time=duration_words(seconds)
        )
        if quick_seconds is not None:
            text += " " + self.tr("The Quick preset takes about {time}; go back to choose it.").format(
                time=duration_words(quick_seconds)
            )
        self._warning.setText(text)
        self._warning.show()

    def show_no_time(self, reason: str) -> None:
        """Say why the time could not be measured."""
        self._progress.hide()
        self._time.setText(self.tr("The time could not be measured"))
        self._how.clear()
        self._warning.setText(reason)
        self._warning.show()


def _size_words(height: int, width: int) -> str:
    """The size of what is trained on as people write it, the width first: "96 x 64 px"; "64 px" for squares."""
    if width == height:
        return _tr("{size} px").format(size=height)
    return _tr("{width} x {height} px").format(width=width, height=height)


def _tr(text: str) -> str:
    return QCoreApplication.translate("SummaryPage", text)
