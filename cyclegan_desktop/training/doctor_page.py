"""The wizard's second page: what the doctor found in the two folders, and what to leave out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from cyclegan_desktop.icons import icon
from cyclegan_desktop.plain_text import shown_paragraph, shown_text
from cyclegan_desktop.style import ACCENT, DANGER, SUCCESS, WARNING, XS, M, S
from cyclegan_desktop.training.flag_words import without_flags
from cyclegan_desktop.training.folder_well import filling_pixmap
from cyclegan_desktop.widgets import button, plain_label, plain_tooltip
from engine.data.images import read_thumbnail
from engine.errors import PictureError
from engine.events import Examined, Finding, Picture, Preparing, Severity

MOST_THUMBNAILS = 8
"""Of one finding."""

_THUMBNAIL_SIDE = 56
_THUMBNAIL_BORDER = QColor(128, 128, 128, 110)
_SHARPNESS = 2
_LARGEST_THUMBNAIL_BYTES = 50_000_000
_MOST_NAMES = 5_000
_NAMES_HEIGHT = 132

_ICONS: dict[Severity, tuple[str, str]] = {
    "stop": ("error", DANGER),
    "warning": ("alert", WARNING),
    "note": ("info", ACCENT),
}


@dataclass(frozen=True, slots=True)
class FindingThumbnail:
    """One of the pictures of a finding, small.

    Attributes:
        finding: Its number, in the order of the findings.
        place: Its place among the finding's thumbnails.
        path: Its file.
        picture: [H, W, 3] uint8.
    """

    finding: int
    place: int
    path: Path
    picture: Picture


def load_thumbnails(findings: Sequence[Finding]) -> Iterator[FindingThumbnail]:
    """Small pictures of what the findings are about, as work for a thread; what cannot be read has none."""
    for number, finding in enumerate(findings):
        if finding.reasons:  # Nothing of it can be read.
            continue
        for place, path in enumerate(finding.files[:MOST_THUMBNAILS]):
            with suppress(PictureError, MemoryError, OSError):
                if path.stat().st_size <= _LARGEST_THUMBNAIL_BYTES:
                    picture = read_thumbnail(path, _THUMBNAIL_SIDE * _SHARPNESS)
                    yield FindingThumbnail(number, place, path, picture)


class DoctorPage(QWidget):
    """Progress, and then a card a finding: the sentence, some of its pictures, all names, and "Leave these out".

    Attributes:
        findings: What was found so far, the worst first.

    Signals:
        left_out_changed: Other files are left out than before.
        reveal_requested: Show this `Path` in the file manager.
    """

    left_out_changed = Signal()
    reveal_requested = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.findings: tuple[Finding, ...] = ()
        self._left_out: dict[Path, None] = {}
        self._folders: tuple[Path, ...] = ()
        self._cards: list[_FindingCard] = []
        self._is_done = False

        self._light = QLabel()
        self._status = plain_label(role="heading", wrap=True)
        self._status.setObjectName("doctor_status")
        self._progress = QProgressBar()
        self._progress.setTextVisible(False)
        self._progress.setAccessibleName(self.tr("Looking at the pictures"))
        self._out_words = plain_label(role="muted", wrap=True)
        self._out_words.setObjectName("doctor_left_out")
        self._all_out = button(self.tr("&Leave out all that is proposed"))
        self._all_out.setObjectName("leave_out_all")
        self._all_out.clicked.connect(self._leave_out_all)
        self._none_out = button(self.tr("&Use all pictures again"))
        self._none_out.setObjectName("leave_out_none")
        self._none_out.clicked.connect(self._leave_out_none)
        self._error = plain_label(role="error", wrap=True)
        self._error.setObjectName("error_left_out")
        self._error.hide()

        head = QHBoxLayout()
        head.setSpacing(S)
        head.addWidget(self._light)
        head.addWidget(self._status, 1)
        choices = QHBoxLayout()
        choices.setSpacing(S)
        choices.addWidget(self._out_words, 1)
        choices.addWidget(self._none_out)
        choices.addWidget(self._all_out)
        self._contents = QWidget()
        self._column = QVBoxLayout(self._contents)
        # On the right the scroll bar has room of its own.
        self._column.setContentsMargins(0, 0, S, 0)
        self._column.setSpacing(S)
        self._column.addStretch(1)
        scroll = QScrollArea()
        scroll.setObjectName("findings")
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.viewport().setAutoFillBackground(False)
        scroll.setWidget(self._contents)
        self._contents.setAutoFillBackground(False)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(S)
        layout.addLayout(head)
        layout.addWidget(self._progress)
        layout.addLayout(choices)
        layout.addWidget(self._error)
        layout.addWidget(scroll, 1)
        self.clear()

    @property
    def left_out(self) -> tuple[Path, ...]:
        """The files that the user leaves out, in these folders."""
        return tuple(path for path in self._left_out if any(path.is_relative_to(folder) for folder in self._folders))

    @property
    def short_words(self) -> str:
        """What is going on or was found, in a few words for another page; "" before anything has begun."""
        return self._short

    @property
    def warnings(self) -> int:
        """How many findings are more than notes."""
        return sum(finding.severity != "note" for finding in self.findings)

    def set_left_out(self, paths: Sequence[Path]) -> None:
        """Leave these out, as the settings to be corrected do."""
        self._left_out = dict.fromkeys(paths)
        self._show_choice()

    def set_folders(self, *folders: Path) -> None:
        """Count only what lies in these folders as left out."""
        self._folders = folders
        self._show_choice()

    def show_error(self, text: str) -> None:
        """Show what is wrong with the choice; "" for nothing."""
        self._error.setText(shown_paragraph(text))
        self._error.setVisible(bool(text))

    def clear(self) -> None:
        """Know nothing."""
        self._is_done = False
        self._drop_cards()
        self._progress.hide()
        self._show_status("", "", self.tr("The pictures have not been looked at yet."))

    def show_begun(self) -> None:
        """Say that an examination begins. What was found before stays until it is over."""
        self._is_done = False
        self.show_progress(Preparing("Looking for pictures"))

    def show_progress(self, event: Preparing) -> None:
        """Say how far it is."""
        if event.total:
            self._progress.setRange(0, event.total)
            self._progress.setValue(event.done)
            count = self.tr("{done:,} of {total:,}").format(done=event.done, total=event.total)
            words = f"{event.text}, {count}"
        else:
            self._progress.setRange(0, 0)
            words = f"{event.text}..."
        self._progress.show()
        short = self.tr("The doctor is at work: {words}").format(words=words)
        self._show_status("", short, self.tr("{words} (you need not wait)").format(words=words))

    def show_findings(self, findings: Sequence[Finding], end: Examined) -> None:
        """Show everything that was found."""
        self._is_done = True
        self._drop_cards()
        self.findings = tuple(findings)
        self._progress.hide()
        for finding in findings:
            made = _FindingCard(finding, self._folders)
            made.toggled.connect(partial(self._toggle, made))
            made.reveal_requested.connect(self.reveal_requested)
            self._column.insertWidget(len(self._cards), made)
            self._cards.append(made)
        counts = self.tr("{count:,} pictures in {seconds} s").format(
            count=end.count_A + end.count_B, seconds=f"{end.seconds:.1f}" if end.seconds < 10 else round(end.seconds)
        )
        if not findings:
            good = self.tr("Nothing to complain about: {counts}").format(counts=counts)
            self._show_status("check", self.tr("The doctor has nothing to complain about."), good)
        else:
            things = self._things_words()
            words = self.tr("The doctor found {things} ({counts})").format(things=things, counts=counts)
            self._show_status("alert" if self.warnings else "info", self.tr("The doctor found {things}.").format(
                things=things), words)  # fmt: skip
        self._show_choice()

    def show_failure(self, message: str) -> None:
        """Say why nothing could be found out."""
        self._is_done = True
        self._progress.hide()
        self._show_status("error", self.tr("The doctor could not look at the pictures."), shown_paragraph(message))

    def add_thumbnail(self, event: FindingThumbnail) -> None:
        """Show one of the pictures of a finding."""
        if event.finding < len(self._cards) and event.path in self.findings[event.finding].files:
            self._cards[event.finding].show_thumbnail(event.place, event.picture, self.devicePixelRatioF())

    def _things_words(self) -> str:
        warnings, notes = self.warnings, len(self.findings) - self.warnings
        parts = []
        if warnings:
            parts.append(self.tr("1 problem") if warnings == 1 else self.tr("{0} problems").format(warnings))
        if notes:
            parts.append(self.tr("1 note") if notes == 1 else self.tr("{0} notes").format(notes))
        return self.tr(" and ").join(parts)

    def _show_status(self, icon_name: str, short: str, words: str) -> None:
        self._short = short
        self._status.setText(words)
        self._light.setVisible(bool(icon_name))
        if icon_name:
            colour = {"check": SUCCESS, "alert": WARNING, "error": DANGER}.get(icon_name, ACCENT)
            self._light.setPixmap(icon(icon_name, colour=QColor(colour)).pixmap(QSize(20, 20)))
        self._show_choice()

    # What is left out

    def _toggle(self, card: _FindingCard, on: bool) -> None:
        if on:
            self._left_out.update(dict.fromkeys(card.finding.leave_out))
        else:
            # What another finding leaves out stays out.
            others = [each for each in self._cards if each is not card and self._is_out(each)]
            kept = {path for each in others for path in each.finding.leave_out}
            gone = set(card.finding.leave_out) - kept
            self._left_out = {path: None for path in self._left_out if path not in gone}
        self._show_choice()
        self.left_out_changed.emit()

    def _leave_out_all(self) -> None:
        for finding in self.findings:
            self._left_out.update(dict.fromkeys(finding.leave_out))
        self._show_choice()
        self.left_out_changed.emit()

    def _leave_out_none(self) -> None:
        self._left_out.clear()
        self._show_choice()
        self.left_out_changed.emit()

    def _is_out(self, card: _FindingCard) -> bool:
        return all(path in self._left_out for path in card.finding.leave_out)

    def _show_choice(self) -> None:
        for each in self._cards:
            each.show_left_out(self._is_out(each))
        count = len(self.left_out)
        if count:
            words = self.tr("1 picture is left out. Nothing is deleted.") if count == 1 else self.tr(
                "{count:,} pictures are left out. Nothing is deleted."
            ).format(count=count)  # fmt: skip
        else:
            words = self.tr("Every picture is used.") if self._is_done else ""
        self._out_words.setText(words)
        self._none_out.setVisible(count > 0)
        proposed = {path for finding in self.findings for path in finding.leave_out}
        self._all_out.setVisible(not proposed <= self._left_out.keys())

    def _drop_cards(self) -> None:
        for each in self._cards:
            self._column.removeWidget(each)
            each.hide()
            each.deleteLater()
        self._cards = []
        self.findings = ()


class _FindingCard(QFrame):
    """One finding.

    Signals:
        toggled: Its files are to be left out, or not any more.
        reveal_requested: Show this `Path` in the file manager.
    """

    toggled = Signal(bool)
    reveal_requested = Signal(object)

    def __init__(self, finding: Finding, folders: Sequence[Path], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.finding = finding
        self._folders = folders
        self._names: QPlainTextEdit | None = None
        self.setObjectName(f"finding_{finding.kind}_{''.join(finding.sides)}")
        self.setProperty("card", True)
        name, colour = _ICONS[finding.severity]
        picture = QLabel()
        picture.setPixmap(icon(name, colour=QColor(colour)).pixmap(QSize(20, 20)))
        picture.setAccessibleName(self._severity_words())
        picture.setToolTip(self._severity_words())
        sentence = plain_label(shown_paragraph(without_flags(finding.sentence)), wrap=True)
        sentence.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)

        self._column = QVBoxLayout()
        self._column.setSpacing(S)
        self._column.addWidget(sentence)
        self._thumbnails = self._thumbnail_row()
        self._buttons = QHBoxLayout()
        self._buttons.setSpacing(S)
        self._leave: QPushButton | None = None
        if finding.can_leave_out:
            self._leave = button("")
            self._leave.setObjectName("leave_out")
            self._leave.setCheckable(True)
            self._leave.clicked.connect(self.toggled)
            self._buttons.addWidget(self._leave)
            self.show_left_out(False)
        if finding.files:
            self._more = button("")
            self._more.setObjectName("show_names")
            self._more.setCheckable(True)
            self._more.toggled.connect(self._show_names)
            self._buttons.addWidget(self._more)
            self._show_more_words(False)
            reveal = button(self.tr("Open the folder"), "folder-open")
            reveal.setObjectName("reveal")
            reveal.clicked.connect(lambda: self.reveal_requested.emit(finding.files[0]))
            self._buttons.addWidget(reveal)
            self._buttons.addStretch(1)
            self._column.addLayout(self._buttons)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(M, S, M, S)
        layout.setSpacing(M)
        layout.addWidget(picture, 0, Qt.AlignmentFlag.AlignTop)
        layout.addLayout(self._column, 1)

    def show_left_out(self, on: bool) -> None:
        """Say whether its files are left out."""
        if self._leave is None:
            return
        count = len(self.finding.leave_out)
        if on:
            words = self.tr("Left out: 1 picture. Undo") if count == 1 else self.tr(
                "Left out: {count:,} pictures. Undo").format(count=count)  # fmt: skip
        elif count == 1:
            words = self.tr("Leave this out") if len(self.finding.files) == 1 else self.tr("Leave out 1 of them")
        elif count == len(self.finding.files):
            words = self.tr("Leave these {count:,} out").format(count=count)
        else:
            words = self.tr("Leave out {count:,} of them").format(count=count)
        self._leave.setText(words)
        self._leave.setChecked(on)
        names = [path.name for path in self.finding.leave_out[:10]]
        self._leave.setToolTip(plain_tooltip(", ".join([*names, "..."] if count > 10 else names)))

    def show_thumbnail(self, place: int, picture: Picture, ratio: float) -> None:
        """Show one of its pictures."""
        label = self._thumbnails[place]
        pixmap = filling_pixmap(picture, _THUMBNAIL_SIDE, ratio)
        # A white picture would not be seen on a white card.
        painter = QPainter(pixmap)
        painter.setPen(_THUMBNAIL_BORDER)
        painter.drawRect(QRectF(0.5, 0.5, _THUMBNAIL_SIDE - 1, _THUMBNAIL_SIDE - 1))
        painter.end()
        label.setPixmap(pixmap)
        label.show()

    def _thumbnail_row(self) -> list[QLabel]:
        """Room for some pictures; copies stand close together, a gap stands between groups."""
        labels: list[QLabel] = []
        if self.finding.reasons:
            return labels
        firsts = {group[0] for group in self.finding.groups}
        row = QHBoxLayout()
        row.setSpacing(XS)
        for path in self.finding.files[:MOST_THUMBNAILS]:
            if labels and path in firsts:
                row.addSpacing(M)
            label = QLabel()
            label.setFixedSize(_THUMBNAIL_SIDE, _THUMBNAIL_SIDE)
            label.setToolTip(plain_tooltip(str(path)))
            label.hide()
            row.addWidget(label)
            labels.append(label)
        more = len(self.finding.files) - MOST_THUMBNAILS
        if more > 0:
            row.addSpacing(S)
            row.addWidget(plain_label(self.tr("and {count:,} more").format(count=more), role="muted"))
        row.addStretch(1)
        self._column.addLayout(row)
        return labels

    def _show_more_words(self, is_open: bool) -> None:
        count = len(self.finding.files)
        if is_open:
            self._more.setText(self.tr("Hide names"))
        else:
            self._more.setText(
                self.tr("Show the name") if count == 1 else self.tr("Show all {count:,} names").format(count=count)
            )

    def _show_names(self, on: bool) -> None:
        self._show_more_words(on)
        if self._names is None:
            self._names = QPlainTextEdit(self._names_text())
            self._names.setObjectName("names")
            self._names.setReadOnly(True)
            # A sentence of damage takes two lines.
            lines = self._names.blockCount() * (2 if self.finding.reasons else 1)
            self._names.setFixedHeight(min(_NAMES_HEIGHT, lines * self._names.fontMetrics().lineSpacing() + 2 * M))
            self._column.addWidget(self._names)
        self._names.setVisible(on)

    def _names_text(self) -> str:
        """A line a file from its side's folder on, with why it cannot be read; an empty line between groups."""
        reasons = dict(zip(self.finding.files, self.finding.reasons, strict=False))
        firsts = {group[0] for group in self.finding.groups}
        lines: list[str] = []
        for path in self.finding.files[:_MOST_NAMES]:
            if path in firsts and lines:
                lines.append("")
            why = f"   {shown_text(reasons[path])}" if path in reasons else ""
            lines.append(f"{shown_text(self._short_name(path))}{why}")
        if len(self.finding.files) > _MOST_NAMES:
            lines.append(self.tr("and {count:,} more").format(count=len(self.finding.files) - _MOST_NAMES))
        return "\n".join(lines)

    def _short_name(self, path: Path) -> str:
        for folder in self._folders:
            if path.is_relative_to(folder):
                return str(Path(folder.name) / path.relative_to(folder))
        return str(path)

    def _severity_words(self) -> str:
        return {
            "stop": self.tr("No training can begin"),
            "warning": self.tr("A problem"),
            "note": self.tr("Good to know"),
        }[self.finding.severity]
