"""Asks which fixed pictures a training shows from now on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from PySide6.QtCore import QItemSelection, QSize, Qt, Signal
from PySide6.QtGui import QIcon, QPixmap
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QFileDialog,
    QHBoxLayout,
    QListView,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from cyclegan_desktop.icons import icon
from cyclegan_desktop.picture_image import image_of
from cyclegan_desktop.plain_text import shown_paragraph, shown_text
from cyclegan_desktop.style import L, M, S
from cyclegan_desktop.training.film_work import THUMBNAIL_SIDE, PictureChoice
from cyclegan_desktop.widgets import ElidedLabel, button, plain_label, plain_tooltip
from engine.data.folders import PICTURE_SUFFIXES
from engine.events import Picture
from engine.training.sheets import MOST_SAMPLES

_PATH: Final = Qt.ItemDataRole.UserRole


class PicturesDialog(QDialog):
    """Thumbnails of both sides, of which up to four each are chosen.

    Signals:
        chosen: The pictures of A and those of B, two tuples of paths, once the user has agreed.
        thumbnails_asked: There are pictures whose thumbnails nobody has read: `without_thumbnail` names them.
    """

    chosen = Signal(object, object)
    thumbnails_asked = Signal()

    def __init__(
        self,
        names: tuple[str, str],
        choices: tuple[PictureChoice, PictureChoice],
        *,
        is_training: bool,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("pictures_dialog")
        self.setWindowTitle(self.tr("Change the fixed pictures"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._sides = tuple(_Side(name, choice) for name, choice in zip(names, choices, strict=True))
        intro = self.tr(
            "Choose up to {most} pictures a side. Those listed are kept from training, so that they show what the "
            "model makes of pictures it has never seen. The new ones are shown from the next samples on; earlier "
            "moments keep theirs."
        ).format(most=MOST_SAMPLES)
        if is_training:
            intro += " " + self.tr("The training is saved and goes on by itself after a moment.")
        self._use = button(self.tr("&Use these pictures"), primary=True)
        self._use.setObjectName("use_pictures")
        self._use.setDefault(True)
        self._use.clicked.connect(self._accept)
        cancel = button(self.tr("Cancel"))
        cancel.clicked.connect(self.reject)
        sides = QHBoxLayout()
        sides.setSpacing(L)
        for side in self._sides:
            sides.addWidget(side, 1)
            side.changed.connect(self._refresh)
            side.added.connect(self.thumbnails_asked)
        foot = QHBoxLayout()
        foot.setSpacing(S)
        foot.addStretch(1)
        foot.addWidget(cancel)
        foot.addWidget(self._use)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(L, L, L, L)
        layout.setSpacing(M)
        layout.addWidget(plain_label(intro, role="muted", wrap=True))
        layout.addLayout(sides, 1)
        layout.addLayout(foot)
        self.resize(860, 520)
        self._sides[0].list.setFocus()
        self._refresh()

    def without_thumbnail(self) -> list[Path]:
        """The pictures of which `show_thumbnail` has told nothing yet, those chosen first."""
        return [path for side in self._sides for path in side.without_thumbnail()]

    def show_thumbnail(self, path: Path, picture: Picture | None) -> None:
        """Show a picture small; None if it cannot be read, so that it cannot be chosen either."""
        for side in self._sides:
            side.show_thumbnail(path, picture)

    def _refresh(self) -> None:
        self._use.setEnabled(all(side.chosen for side in self._sides))

    def _accept(self) -> None:
        self.chosen.emit(*(side.chosen for side in self._sides))
        self.accept()


class _Side(QWidget):
    """The pictures of one domain.

    Signals:
        changed: Others are chosen.
        added: Pictures were browsed for.
    """

    changed = Signal()
    added = Signal()

    def __init__(self, name: str, choice: PictureChoice) -> None:
        super().__init__()
        self._name = name
        self._left_off = choice.left_off
        self._waiting: set[Path] = set()
        self._heading = ElidedLabel(name, role="heading")
        self._count = plain_label(role="muted", wrap=True)
        self.list = QListWidget()
        self.list.setAccessibleName(self.tr("Pictures of {name}").format(name=shown_text(name)))
        self.list.setViewMode(QListView.ViewMode.IconMode)
        self.list.setResizeMode(QListView.ResizeMode.Adjust)
        self.list.setMovement(QListView.Movement.Static)
        self.list.setUniformItemSizes(True)
        self.list.setSpacing(0)
        self.list.setIconSize(QSize(THUMBNAIL_SIDE, THUMBNAIL_SIDE))
        lines = self.list.fontMetrics().height()
        self.list.setGridSize(QSize(THUMBNAIL_SIDE + 2 * S + M, THUMBNAIL_SIDE + lines + 3 * S))
        self.list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        # Every click and every press of the space bar chooses one more, or one less.
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.MultiSelection)
        browse = button(self.tr("Browse..."), "add-file")
        browse.setAccessibleName(self.tr("Browse for pictures of {name}").format(name=shown_text(name)))
        browse.clicked.connect(self._browse)
        self._browse_button: QPushButton = browse
        self._blank = QPixmap(THUMBNAIL_SIDE, THUMBNAIL_SIDE)
        self._blank.fill(Qt.GlobalColor.transparent)
        foot = QHBoxLayout()
        foot.addWidget(self._count, 1)
        foot.addWidget(browse)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(S)
        layout.addWidget(self._heading)
        layout.addWidget(self.list, 1)
        layout.addLayout(foot)
        for path in choice.offered:
            self._add(path).setSelected(path in choice.shown[:MOST_SAMPLES])
        self._mark()
        self.list.selectionModel().selectionChanged.connect(self._selection_changed)

    @property
    def chosen(self) -> tuple[Path, ...]:
        """The pictures chosen, in the order in which they are listed."""
        items = (self.list.item(row) for row in range(self.list.count()))
        return tuple(item.data(_PATH) for item in items if item.isSelected())

    def without_thumbnail(self) -> list[Path]:
        chosen = set(self.chosen)
        waiting = [path for path in self._paths() if path in self._waiting]
        return sorted(waiting, key=lambda path: path not in chosen)

    def show_thumbnail(self, path: Path, picture: Picture | None) -> None:
        self._waiting.discard(path)
        for row, each in enumerate(self._paths()):
            if each != path:
                continue
            item = self.list.item(row)
            if picture is not None:
                item.setIcon(_icon(QPixmap.fromImage(image_of(picture))))
                continue
            item.setIcon(icon("alert"))
            item.setSelected(False)
            item.setFlags(Qt.ItemFlag.NoItemFlags)
            item.setToolTip(plain_tooltip(self.tr("{path} cannot be read").format(path=path)))

    def _paths(self) -> list[Path]:
        return [self.list.item(row).data(_PATH) for row in range(self.list.count())]

    def _add(self, path: Path) -> QListWidgetItem:
        item = QListWidgetItem(QIcon(self._blank), shown_text(path.name))
        item.setData(_PATH, path)
        item.setToolTip(plain_tooltip(str(path)))
        item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
        self.list.addItem(item)
        self._waiting.add(path)
        return item

    def _selection_changed(self, selected: QItemSelection, _deselected: QItemSelection) -> None:
        excess = len(self.chosen) - MOST_SAMPLES
        if excess > 0:
            # Those of now give way: what was chosen before stays until it is clicked again.
            for index in selected.indexes()[-excess:]:
                self.list.item(index.row()).setSelected(False)
        self._mark(is_full=excess > 0)
        self.changed.emit()

    def _mark(self, *, is_full: bool = False) -> None:
        """A tick beside those that are chosen, not their colour alone; and how many they are."""
        for row in range(self.list.count()):
            item = self.list.item(row)
            item.setCheckState(Qt.CheckState.Checked if item.isSelected() else Qt.CheckState.Unchecked)
        count = len(self.chosen)
        if is_full:
            text = self.tr("No more than {most}: take one away first.").format(most=MOST_SAMPLES)
        elif not count:
            text = self.tr("Choose at least one.")
        else:
            text = self.tr("{count} of at most {most} chosen").format(count=count, most=MOST_SAMPLES)
        if self._left_off and not is_full:
            text += " " + self.tr("{count:,} more are not listed: browse for them.").format(count=self._left_off)
        self._count.setText(shown_paragraph(text))

    def _browse(self) -> None:
        dialog = QFileDialog(self, self.tr("Choose pictures"))
        dialog.setObjectName("browse_pictures")
        dialog.setFileMode(QFileDialog.FileMode.ExistingFiles)
        suffixes = " ".join(f"*{suffix}" for suffix in sorted(PICTURE_SUFFIXES))
        dialog.setNameFilter(self.tr("Pictures ({suffixes})").format(suffixes=suffixes))
        paths = self._paths()
        if paths:
            dialog.setDirectory(str(paths[0].parent))
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.filesSelected.connect(self._take_files)
        dialog.open()

    def _take_files(self, names: Sequence[str]) -> None:
        for path in map(Path, names):
            known = self._paths()
            item = self.list.item(known.index(path)) if path in known else self._add(path)
            item.setSelected(True)
            self.list.scrollToItem(item)
        self.added.emit()


def _icon(pixmap: QPixmap) -> QIcon:
    """A picture in its own colours, also where it is selected."""
    made = QIcon(pixmap)
    made.addPixmap(pixmap, QIcon.Mode.Selected)
    return made
