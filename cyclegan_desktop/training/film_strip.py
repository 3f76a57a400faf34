"""The film of a training: its fixed pictures at every moment that is kept, the newest of them live."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QStackedLayout, QToolButton, QVBoxLayout, QWidget

from cyclegan_desktop.icons import icon
from cyclegan_desktop.messages import MessageArea
from cyclegan_desktop.plain_text import shown_paragraph
from cyclegan_desktop.review.compare_mode import CompareMode
from cyclegan_desktop.style import WARNING, XS, S
from cyclegan_desktop.training.film_compare import FilmCompare
from cyclegan_desktop.training.film_overview import Overview
from cyclegan_desktop.training.film_single import Single
from cyclegan_desktop.training.film_timeline import FilmTimeline
from cyclegan_desktop.training.film_words import moment_words, step_words
from cyclegan_desktop.widgets import ElidedLabel, NoWheelComboBox, button, plain_label, plain_tooltip
from engine.config import Direction
from engine.events import Moment, Sample

SPEEDS: Final = (2.0, 5.0, 12.0)
"""Moments a second at which a film is played."""

_NARROW: Final = 480

PictureKey = tuple[Direction, str]
"""What makes a fixed picture the same at two moments: its direction and its file."""


class FilmStrip(QWidget):
    """Samples of both directions at one moment, as large as the room allows, and below them the way to all others.

    A click on a sample shows it alone and larger still. Keys, wherever the focus is in here: S stars the moment, P
    plays the film, L goes to the newest; comma and full stop go to the moment before and after.

    Signals:
        place_chosen: The user went to the moment with this place among all.
        newest_asked: The newest moment is wanted, and those that follow as they come.
        play_asked: The film is to be played, or to stop.
        star_asked: The moment shown is to be kept for good, or no longer.
        compare_asked: The moment shown is to be compared with others, or no longer.
        convert_asked: The model of the moment shown is to be used.
        branch_asked: A new training is to begin with its networks.
        export_asked: The film is wanted as an animated picture.
        pictures_asked: Other fixed pictures are wanted.
    """

    place_chosen = Signal(int)
    newest_asked = Signal()
    play_asked = Signal()
    star_asked = Signal()
    compare_asked = Signal()
    convert_asked = Signal()
    branch_asked = Signal()
    export_asked = Signal()
    pictures_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("film_strip")
        self._names = ("A", "B")
        self._moment: Moment | None = None
        self._step = 0
        self._samples: tuple[Sample, ...] = ()
        self._chosen: PictureKey | None = None
        self._alone = False
        self._pinned: tuple[int, tuple[Sample, ...]] | None = None
        self._is_training = self._is_newest = False

        self.messages = MessageArea()
        self._placeholder = plain_label("", role="muted", wrap=True)
        self._placeholder.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._overview = Overview()
        self._overview.chosen.connect(self._show_one)
        self._single = Single()
        self._single.closed.connect(self._show_all)
        self._single.moved.connect(self._move)
        self._compare = FilmCompare()
        self._compare.closed.connect(self.compare_asked)
        self._compare.moved.connect(self._move)
        self._note = plain_label("", role="muted", wrap=True)
        self._note.setObjectName("samples_note")
        self._note.hide()
        self._notes: list[str] = []

        self._controls = QWidget()
        controls = QVBoxLayout(self._controls)
        controls.setContentsMargins(0, 0, 0, 0)
        controls.setSpacing(0)
        controls.addLayout(self._make_timeline_row())
        controls.addWidget(self._make_actions_row())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(XS)
        layout.addLayout(self._make_head())
        layout.addWidget(self.messages)
        self._stack = QStackedLayout()
        layout.addLayout(self._stack, 1)
        # Only now: what a layout without a widget shows first would be a window for a moment.
        for page in (self._placeholder, self._overview, self._single, self._compare):
            self._stack.addWidget(page)
        layout.addWidget(self._note)
        layout.addWidget(self._controls)
        self.clear()

    # What is shown

    @property
    def speed(self) -> float:
        """Moments a second at which the film is to be played."""
        return SPEEDS[self._speed.currentIndex()]

    @property
    def names(self) -> tuple[str, str]:
        """What the two domains are called."""
        return self._names

    def set_names(self, name_A: str, name_B: str) -> None:
        """Name the domains, from which the directions have their names."""
        self._names = (name_A, name_B)

    def set_compare_mode(self, mode: CompareMode) -> None:
        """Compare moments in this way at first."""
        self._compare.set_mode(mode)

    def set_training(self, on: bool) -> None:
        """Say whether new moments come."""
        self._is_training = on
        self._show_moment(self._moment)
        self._newest.setText(self.tr("Live") if on else self.tr("Newest"))
        self._newest.setToolTip(
            self.tr("Go to the newest moment, and show new ones as they come (L)")
            if on
            else self.tr("Go to the newest moment (L)")
        )

    def set_moments(self, moments: Sequence[Moment], place: int) -> None:
        """Offer these moments, and stand at one of them."""
        self._timeline.set_moments(moments, place)
        self._is_newest = not moments or place == len(moments) - 1
        self._controls.setVisible(bool(moments))
        self._newest.setChecked(self._is_newest)
        self._newest.setEnabled(len(moments) > 1 or self._is_training)
        self._play.setEnabled(len(moments) > 1)
        self._speed.setEnabled(len(moments) > 1)
        self._show_moment(moments[place] if moments else None)

    def show_samples(self, step: int, samples: Sequence[Sample], *, notes: Sequence[str] = ()) -> None:
        """Show the pictures of a moment; one shown alone stays alone.

        Args:
            step: Steps taken then.
            samples: First those of A, then those of B.
            notes: What there is to say about them, whole sentences.
        """
        self._step, self._samples = step, tuple(samples)
        self._notes = list(notes)
        self._overview.show_samples(self._samples, {d: self.direction_name(d) for d in ("a2b", "b2a")})
        self._refresh()

    def show_pinned(self, pinned: tuple[int, Sequence[Sample]] | None) -> None:
        """Compare with a moment of this step and these samples; None ends the comparison."""
        began = self._pinned is None and pinned is not None
        self._pinned = None if pinned is None else (pinned[0], tuple(pinned[1]))
        self._timeline.set_pinned(None if pinned is None else pinned[0])
        self._compare_button.setChecked(pinned is not None)
        self._compare_button.setText(self.tr("Comparing") if pinned is not None else self.tr("Compare"))
        self._refresh()
        if began and self._stack.currentWidget() is self._compare:
            # The other moment is chosen next.
            self._timeline.setFocus()

    def set_playing(self, playing: bool) -> None:
        """Say whether the film is being played."""
        self._play.setIcon(icon("pause" if playing else "play"))
        words = self.tr("Stop playing") if playing else self.tr("Play the film")
        self._play.setAccessibleName(words)
        self._play.setToolTip(plain_tooltip(self.tr("{0} (P)").format(words)))

    def show_problem(self, text: str) -> None:
        """Say in place of the pictures why there are none."""
        self._samples = ()
        self._note.hide()
        self._placeholder.setText(shown_paragraph(text))
        self._stack.setCurrentWidget(self._placeholder)

    def clear(self, text: str = "") -> None:
        """Show no samples but a text, by default that they come soon."""
        self.messages.clear()
        self._chosen, self._alone, self._pinned = None, False, None
        self._timeline.set_pinned(None)
        self._compare_button.setChecked(False)
        self._compare_button.setText(self.tr("Compare"))
        self.set_playing(False)
        self.set_training(self._is_training)
        self.set_moments((), 0)
        self.show_problem(text or self.tr("The samples appear here as soon as the training has begun."))

    def direction_name(self, direction: Direction) -> str:
        """A direction in words, such as "Apples to Oranges"."""
        source, target = self._names if direction == "a2b" else self._names[::-1]
        return self.tr("{source} to {target}").format(source=source, target=target)

    @property
    def chosen(self) -> PictureKey | None:
        """The fixed picture that is shown alone or compared; None while all are shown."""
        return self._chosen if self._alone or self._pinned is not None else None

    def _show_moment(self, moment: Moment | None) -> None:
        """Say what is kept of the moment, and offer what can be done with it."""
        self._moment = moment
        there, model = moment is not None, moment is not None and moment.model is not None
        starred = moment is not None and moment.is_starred
        words = moment_words(moment) if moment is not None else ""
        is_live = there and self._is_newest and self._is_training
        self._words.setText(self.tr("Live: {moment}").format(moment=words) if is_live else words)
        self._star.setEnabled(there)
        self._star.setChecked(starred)
        self._star.setIcon(icon("star-full", colour=QColor(WARNING)) if starred else icon("star"))
        words = self.tr("No longer keep this moment for good") if starred else self.tr("Keep this moment for good")
        self._star.setAccessibleName(words)
        self._star.setToolTip(plain_tooltip(self.tr("{0} (S)").format(words)))
        self._compare_button.setEnabled(there)
        gone = self.tr("Only the pictures of this moment are kept: its model is gone")
        for made, tip in (
            (self._convert_button, self.tr("Convert with this moment; it is starred, so that it stays")),
            (self._branch_button, self.tr("Begin a new training with the networks of this moment")),
        ):
            made.setEnabled(model)
            made.setToolTip(plain_tooltip(tip if model or not there else gone))
        self._export_button.setEnabled(there)

    def _refresh(self) -> None:
        """Show all samples, one alone or two moments of one, as it is chosen."""
        if not self._samples:
            return
        notes = list(self._notes)
        if self._chosen is None:
            self._chosen = _key(self._samples[0])
        if self._pinned is not None:
            self._show_pair(*self._pinned)
        elif self._alone:
            self._show_alone(notes)
        else:
            self._stack.setCurrentWidget(self._overview)
        self._note.setText(shown_paragraph(" ".join(notes)))
        self._note.setVisible(bool(notes) and self._stack.currentWidget() is not self._compare)

    def _show_alone(self, notes: list[str]) -> None:
        assert self._chosen is not None
        sample = _find(self._samples, self._chosen)
        if sample is not None:
            self._single.show_sample(sample, self.direction_name(sample.direction))
        else:
            self._single.show_missing(self._title(self._chosen))
            notes[:] = [self._missing(self._chosen, self._step)]
        self._stack.setCurrentWidget(self._single)

    def _show_pair(self, step: int, samples: tuple[Sample, ...]) -> None:
        assert self._chosen is not None
        pair = _find(samples, self._chosen), _find(self._samples, self._chosen)
        missing = [s for s, sample in zip((step, self._step), pair, strict=True) if sample is None]
        if missing:
            note = " ".join(self._missing(self._chosen, s) for s in dict.fromkeys(missing))
        elif step == self._step:
            note = self.tr("Go to another moment below to compare it with step {step:,}.").format(step=step)
        else:
            note = ""
        self._compare.show_pair(self._title(self._chosen), (step, self._step), pair, note)
        self._stack.setCurrentWidget(self._compare)

    def _title(self, key: PictureKey) -> str:
        return f"{self.direction_name(key[0])}: {_file_name(key)}"

    def _missing(self, key: PictureKey, step: int) -> str:
        return self.tr("{moment} does not show {file}: the fixed pictures were others then.").format(
            moment=step_words(step), file=_file_name(key)
        )

    def _show_one(self, index: int) -> None:
        self._chosen, self._alone = _key(self._samples[index]), True
        self._refresh()
        self._single.setFocus()

    def _show_all(self) -> None:
        self._alone = False
        self._refresh()
        self._overview.focus(self._index())

    def _move(self, by: int) -> None:
        if self._samples:
            place = (self._index() + by) % len(self._samples) if abs(by) == 1 else (len(self._samples) - 1) * (by > 0)
            self._chosen = _key(self._samples[place])
            self._refresh()

    def _index(self) -> int:
        keys = [_key(sample) for sample in self._samples]
        return keys.index(self._chosen) if self._chosen in keys else 0

    # Keys and room

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Do what the key stands for."""
        if event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier or self._moment is None:
            super().keyPressEvent(event)
            return
        match Qt.Key(event.key()):
            case Qt.Key.Key_S if not event.isAutoRepeat():
                self._star.click()
            case Qt.Key.Key_P if not event.isAutoRepeat():
                self._play.click()
            case Qt.Key.Key_L:
                self._newest.click()
            case Qt.Key.Key_Comma:
                self._timeline.setValue(self._timeline.value() - 1)
            case Qt.Key.Key_Period:
                self._timeline.setValue(self._timeline.value() + 1)
            case _:
                super().keyPressEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Leave the timeline its room: in a narrow strip the speed stands below it."""
        super().resizeEvent(event)
        is_below = self._actions.isAncestorOf(self._speed)
        if (self.width() < _NARROW) == is_below:
            return
        if is_below:
            self._timeline_row.insertWidget(2, self._speed)
        else:
            self._actions.add(self._speed)

    # Parts

    def _make_head(self) -> QHBoxLayout:
        self._words = ElidedLabel(role="muted")
        self._words.setObjectName("film_words")
        self._words.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._star = self._tool("film_star", "star", "", self.star_asked)
        self._star.setCheckable(True)
        # What it shows is what the disk says, not what was clicked.
        self._star.clicked.connect(lambda: self._show_moment(self._moment))
        row = QHBoxLayout()
        row.setSpacing(XS)
        row.addWidget(plain_label(self.tr("Samples"), role="heading"))
        row.addWidget(self._words, 1)
        row.addWidget(self._star)
        return row

    def _make_timeline_row(self) -> QHBoxLayout:
        self._play = self._tool("film_play", "play", "", self.play_asked)
        self._speed = NoWheelComboBox()
        self._speed.setObjectName("film_speed")
        self._speed.addItems([self.tr("Slow"), self.tr("Medium"), self.tr("Fast")])
        self._speed.setCurrentIndex(1)
        self._speed.setAccessibleName(self.tr("Speed of the film"))
        self._speed.setToolTip(self.tr("How fast the film is played"))
        self._timeline = FilmTimeline()
        self._timeline.valueChanged.connect(self.place_chosen)
        self._newest = button("")
        self._newest.setObjectName("film_newest")
        self._newest.setCheckable(True)
        self._newest.clicked.connect(self._ask_newest)
        self._timeline_row = row = QHBoxLayout()
        row.setSpacing(S)
        row.addWidget(self._play)
        row.addWidget(self._timeline, 1)
        row.addWidget(self._speed)
        row.addWidget(self._newest)
        return row

    def _make_actions_row(self) -> QWidget:
        self._compare_button = self._tool("film_compare_button", "compare-slider", "", self.compare_asked)
        self._compare_button.setText(self.tr("Compare"))
        self._compare_button.setCheckable(True)
        self._compare_button.setAccessibleName(self.tr("Compare with this moment"))
        self._compare_button.setToolTip(
            plain_tooltip(self.tr("Compare with this moment: it stays beside the moment that you go to next"))
        )
        self._convert_button = self._tool("film_convert", "convert", self.tr("Convert"), self.convert_asked)
        self._convert_button.setAccessibleName(self.tr("Convert with this moment"))
        self._branch_button = self._tool("film_branch", "branch", self.tr("Branch..."), self.branch_asked)
        self._branch_button.setAccessibleName(self.tr("Branch a new training from this moment"))
        self._export_button = self._tool("film_export", "save", self.tr("Export..."), self.export_asked)
        self._export_button.setAccessibleName(self.tr("Export the film as an animated picture"))
        self._export_button.setToolTip(plain_tooltip(self.tr("Save the film as an animated picture")))
        self._pictures_button = self._tool("film_pictures", "picture", self.tr("Pictures..."), self.pictures_asked)
        self._pictures_button.setAccessibleName(self.tr("Change the fixed pictures"))
        self._pictures_button.setToolTip(plain_tooltip(self.tr("Change which pictures are shown from now on")))
        self._actions = _Actions(
            self._compare_button,
            self._convert_button,
            self._branch_button,
            self._export_button,
            self._pictures_button,
        )
        return self._actions

    def _tool(self, name: str, icon_name: str, words: str, signal: object) -> QToolButton:
        made = QToolButton()
        made.setObjectName(name)
        made.setIcon(icon(icon_name))
        made.setIconSize(QSize(18, 18))
        made.setText(words)
        made.clicked.connect(lambda _checked=False: signal.emit())  # type: ignore[attr-defined]
        return made

    def _ask_newest(self) -> None:
        self._newest.setChecked(self._is_newest)
        self.newest_asked.emit()


class _Actions(QWidget):
    """Buttons in a row. Where there is no room for their words they show icons only: their tooltips have the words."""

    def __init__(self, *buttons: QToolButton) -> None:
        super().__init__()
        self._buttons = buttons
        # The words ask for no room, or they would never be dropped.
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(XS)
        for made in buttons:
            row.addWidget(made)
        row.addStretch(1)
        self._row = row

    def add(self, widget: QWidget) -> None:
        """Show something else at the end of the row, where there is room for icons only."""
        self._row.addWidget(widget)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Show as much as there is room for."""
        super().resizeEvent(event)
        self._set_style(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        if sum(each.sizeHint().width() + XS for each in self._buttons) - XS > self.width():
            self._set_style(Qt.ToolButtonStyle.ToolButtonIconOnly)

    def _set_style(self, style: Qt.ToolButtonStyle) -> None:
        for each in self._buttons:
            each.setToolButtonStyle(style)


def _key(sample: Sample) -> PictureKey:
    return sample.direction, str(sample.source)


def _file_name(key: PictureKey) -> str:
    return Path(key[1]).name


def _find(samples: Sequence[Sample], key: PictureKey) -> Sample | None:
    return next((sample for sample in samples if _key(sample) == key), None)
