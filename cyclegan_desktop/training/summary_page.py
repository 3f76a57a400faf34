"""The wizard's last page: what will be done, how long it takes here, and whether it fits into memory."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, QEvent, QSize, Qt, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QVBoxLayout, QWidget

from cyclegan_desktop.icons import icon
from cyclegan_desktop.plain_text import shown_paragraph
from cyclegan_desktop.style import SUCCESS, L, M, S, colours
from cyclegan_desktop.training.remedy_rows import RemedyRows
from cyclegan_desktop.widgets import button, card, plain_label, set_look
from cyclegan_desktop.words import duration_words
from engine.config import TrainConfig
from engine.events import Estimated, Preparing, TooLarge
from engine.remedies import Remedy
from engine.words import bytes_words


class SummaryPage(QWidget):
    """One sentence, and time and memory measured on this machine.

    Signals:
        remedy_chosen: The settings are to be changed by this `Remedy`, so that they fit.
        quick_chosen: The quick preset is wanted instead.
    """

    remedy_chosen = Signal(object)
    quick_chosen = Signal()

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
        self._progress.setAccessibleName(self.tr("Measuring"))
        self._warning = plain_label(role="error", wrap=True)
        self._warning.setObjectName("summary_warning")
        self._fit_icon = QLabel()
        self._fit = plain_label(wrap=True)
        self._fit.setObjectName("summary_fit")
        fit = QHBoxLayout()
        fit.setSpacing(S)
        fit.addWidget(self._fit_icon, 0, Qt.AlignmentFlag.AlignTop)
        fit.addWidget(self._fit, 1)
        self._fits = True
        self._remedies_title = plain_label(self.tr("What needs less memory:"), role="muted")
        self._remedies: RemedyRows | None = None
        self._remedies_place = QVBoxLayout()
        self._quick = plain_label(wrap=True)
        self._quick.setObjectName("summary_quick")
        self._take_quick = button(self.tr("&Use Quick"))
        self._take_quick.setObjectName("take_quick")
        self._take_quick.clicked.connect(self.quick_chosen)
        self._quick_row = QWidget()
        quick = QHBoxLayout(self._quick_row)
        quick.setContentsMargins(0, 0, 0, 0)
        quick.setSpacing(M)
        quick.addWidget(self._quick, 1)
        quick.addWidget(self._take_quick)

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
        for part in (self._time, self._progress, self._how):
            time_layout.addWidget(part)
        time_layout.addLayout(fit)
        time_layout.addWidget(self._remedies_title)
        time_layout.addLayout(self._remedies_place)
        time_layout.addWidget(self._warning)
        time_layout.addWidget(self._quick_row)
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
        self._clear()

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
        """Say that time and memory are being measured."""
        self._time.setText(self.tr("Measuring time and memory with a few real steps..."))
        self._how.setText(event.text if event is not None else self.tr("You need not wait for it"))
        self._how.show()
        self._clear()
        self._progress.show()
        if event is not None and event.total > 0:
            self._progress.setRange(0, event.total)
            self._progress.setValue(event.done)
        else:
            self._progress.setRange(0, 0)

    def show_estimate(self, event: Estimated) -> None:
        """Say how long it takes, how much memory, and whether there is so much."""
        self._progress.hide()
        self._clear()
        text = self.tr("About {time} and {memory} on this machine")
        self._time.setText(text.format(time=duration_words(event.seconds), memory=bytes_words(event.memory_bytes)))
        self._how.setText(
            self.tr("{steps:,} steps of {each} s, measured on {device} in {precision}").format(
                steps=event.total_steps,
                each=f"{event.seconds_per_step:.2g}",
                device=event.device,
                precision=event.precision,
            )
        )
        words = (
            self.tr("It fits: {memory} of {free} that are free")
            if event.fits
            else self.tr("It does not fit: {memory}, and {free} are free")
        )
        words = words.format(memory=bytes_words(event.memory_bytes), free=bytes_words(event.memory_free_bytes))
        self._show_fit(words, fits=event.fits, remedies=event.remedies)

    def show_too_large(self, event: TooLarge) -> None:
        """Say that it needs more memory than there is."""
        self._progress.hide()
        self._clear()
        self._time.setText(self.tr("Too large for this machine"))
        self._how.setText(
            self.tr("The memory ran out while it was measured, on {device} in {precision}").format(
                device=event.device, precision=event.precision
            )
        )
        words = self.tr("It does not fit: it needs more than the {free} that are free")
        self._show_fit(words.format(free=bytes_words(event.memory_free_bytes)), fits=False, remedies=event.remedies)

    def warn_of_long(self, preset: str, seconds: float) -> None:
        """Say that it takes very long."""
        text = self.tr("With the {preset} preset this takes about {time} here.")
        self._warning.setText(shown_paragraph(text.format(preset=preset, time=duration_words(seconds))))
        self._warning.show()

    def show_quick(self, quick: Estimated | None) -> None:
        """Say what the quick preset would take, or that this is being measured."""
        if quick is None:
            self._quick.setText(self.tr("Measuring the Quick preset, too..."))
        else:
            text = self.tr("The Quick preset takes about {time} and {memory}.")
            self._quick.setText(text.format(time=duration_words(quick.seconds), memory=bytes_words(quick.memory_bytes)))
        self._take_quick.setVisible(quick is not None)
        self._quick_row.show()

    def hide_quick(self) -> None:
        """Say nothing of the quick preset: it could not be measured."""
        self._quick_row.hide()

    def show_no_time(self, reason: str) -> None:
        """Say why nothing could be measured."""
        self._progress.hide()
        self._clear()
        self._time.setText(self.tr("The time could not be measured"))
        self._how.hide()
        self._warning.setText(reason)
        self._warning.show()

    def changeEvent(self, event: QEvent) -> None:
        """Draw the sign anew in the colours of another scheme."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._show_sign()

    def _clear(self) -> None:
        for part in (self._warning, self._fit, self._fit_icon, self._remedies_title, self._quick_row):
            part.hide()
        if self._remedies is not None:
            self._remedies.hide()
            self._remedies.deleteLater()
            self._remedies = None

    def _show_fit(self, words: str, *, fits: bool, remedies: tuple[Remedy, ...]) -> None:
        self._fits = fits
        set_look(self._fit, "role", "body" if fits else "error")
        self._fit.setText(words)
        self._fit.show()
        self._show_sign()
        self._fit_icon.show()
        if not fits and remedies:
            self._remedies = RemedyRows(remedies)
            self._remedies.chosen.connect(self.remedy_chosen)
            self._remedies_place.addWidget(self._remedies)
            self._remedies.show()
            self._remedies_title.show()

    def _show_sign(self) -> None:
        """Not by colour alone: a tick, or a sign of warning."""
        colour = QColor(SUCCESS if self._fits else colours().danger)
        side = self._fit.fontMetrics().height()
        self._fit_icon.setPixmap(icon("check" if self._fits else "alert", colour=colour).pixmap(QSize(side, side)))


def _size_words(height: int, width: int) -> str:
    """The size of what is trained on as people write it, the width first: "96 x 64 px"; "64 px" for squares."""
    if width == height:
        return _tr("{size} px").format(size=height)
    return _tr("{width} x {height} px").format(width=width, height=height)


def _tr(text: str) -> str:
    return QCoreApplication.translate("SummaryPage", text)
