"""One side of a training to be: its folder, what was found in it, and its name."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QMenu, QToolButton, QVBoxLayout, QWidget

from cyclegan_desktop.engine_thread import Failure
from cyclegan_desktop.icons import icon
from cyclegan_desktop.plain_text import shown_paragraph
from cyclegan_desktop.style import S
from cyclegan_desktop.training.folder_look import PicturesFound, Thumbnail, look_at
from cyclegan_desktop.training.folder_well import THUMBNAIL_SIDE, FolderWell
from cyclegan_desktop.training.threads import LatestWork, ThreadKeeper
from cyclegan_desktop.widgets import plain_label, set_look
from engine.data.folders import Domains, FolderScan

_SHARPNESS = 1.5
"""Pixels read for each one shown of a thumbnail's longer side, which is cut."""


class DomainPanel(QWidget):
    """A well, the error of its folder, and the name of the domain with its error.

    Attributes:
        folder: The folder chosen, or None.
        test_folder: The folder of held-out pictures that came with it, or None.
        scan: What the folder holds, as soon as that is known.
        problem: Why the folder cannot be trained on whatever the other one is, or "".

    Signals:
        folder_changed: Another folder was chosen.
        looked: `scan` or `problem` is known.
        domains_found: The folder chosen holds both sides: `Domains`.
        dropped: Several things were dropped at once, list[Path].
        name_changed: The name was changed by the user or by `suggest_name`.
    """

    folder_changed = Signal()
    looked = Signal()
    domains_found = Signal(object)
    dropped = Signal(list)
    name_changed = Signal()

    def __init__(
        self, side: str, title: str, recent: list[Path], scans: ThreadKeeper, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.folder: Path | None = None
        self.test_folder: Path | None = None
        self.scan: FolderScan | None = None
        self.problem = ""
        self._recent_folders = recent
        self._is_name_own = False
        self._look = LatestWork(scans, self)
        self._look.reported.connect(self._take)
        self._look.failed.connect(self._take_failure)

        self._well = FolderWell()
        self._well.setObjectName(f"well_{side}")
        self._well.setAccessibleName(title)
        self._well.clicked.connect(self._ask)
        self._well.dropped.connect(self._take_drop)
        self._folder_error = plain_label(role="error", wrap=True)
        self._folder_error.setObjectName(f"error_folder_{side}")
        self._name = QLineEdit()
        self._name.setObjectName(f"name_{side}")
        self._name.setMaxLength(60)
        # It would take a dropped folder for text.
        self._name.setAcceptDrops(False)
        self._name.textEdited.connect(self._own_name)
        self._name.textChanged.connect(self.name_changed)
        self._name.setAccessibleName(self.tr("Name of {side}").format(side=title))
        name_label = plain_label(self.tr("Name (&{side})").format(side=side))
        name_label.setBuddy(self._name)
        self._name_error = plain_label(role="error", wrap=True)
        self._name_error.setObjectName(f"error_name_{side}")

        head = QHBoxLayout()
        head.addWidget(plain_label(title, role="heading"))
        head.addStretch(1)
        if recent:
            head.addWidget(self._recent_button(title))
        name_row = QHBoxLayout()
        name_row.setSpacing(S)
        name_row.addWidget(name_label)
        name_row.addWidget(self._name, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(S)
        layout.addLayout(head)
        layout.addWidget(self._well, 1)
        layout.addWidget(self._folder_error)
        layout.addLayout(name_row)
        layout.addWidget(self._name_error)
        self.show_errors("", "")

    @property
    def name(self) -> str:
        """The name of the domain."""
        return self._name.text().strip()

    @property
    def well(self) -> FolderWell:
        """The area on which folders are dropped."""
        return self._well

    @property
    def is_looking(self) -> bool:
        """Whether the folder is still being looked at."""
        return self.folder is not None and self.scan is None and not self.problem

    def choose(self, folder: Path, test_folder: Path | None = None) -> None:
        """Take this folder, and look at it in a thread.

        Args:
            folder: The folder of pictures.
            test_folder: A folder of held-out pictures that belongs to it.
        """
        self.folder, self.test_folder = folder, test_folder
        self.scan, self.problem = None, ""
        self._well.show_folder(folder)
        if test_folder is not None:
            self._well.show_test_folder(test_folder)
        self._well.setAccessibleDescription(str(folder))
        self._look.start(partial(look_at, folder, round(_SHARPNESS * THUMBNAIL_SIDE * self.devicePixelRatioF())))
        self.folder_changed.emit()

    def suggest_name(self, name: str) -> None:
        """Take this name unless the user has given one."""
        if not self._is_name_own:
            self._name.setText(name)

    def set_name(self, name: str) -> None:
        """Take this name as the user's."""
        self._is_name_own = True
        self._name.setText(name)

    def show_errors(self, folder: str, name: str) -> None:
        """Show what is wrong beside what it is about; "" for nothing."""
        for label, text in ((self._folder_error, folder), (self._name_error, name)):
            label.setText(text)
            label.setVisible(bool(text))
        set_look(self._name, "invalid", bool(name))

    def stop(self) -> None:
        """Look no further."""
        self._look.drop()

    def _take(self, event: object) -> None:
        match event:
            case PicturesFound(count=count):
                self._well.show_found(count)
            case FolderScan():
                self.scan, self.problem = event, self._problem_of(event)
                self._well.show_scan(event)
                self.looked.emit()
            case Thumbnail(picture=picture):
                self._well.add_thumbnail(picture)
            case Domains():
                self.domains_found.emit(event)

    def _problem_of(self, scan: FolderScan) -> str:
        if len(scan.pictures) >= 2:
            return ""
        name = shown_paragraph(scan.folder.name or str(scan.folder))
        if scan.pictures:
            return self.tr(
                "{folder} holds only one picture. A training needs at least two on each side; "
                "a few hundred give good results."
            ).format(folder=name)
        if scan.unreadable_folders:
            return self.tr(
                "No pictures could be found in {folder}: {part} cannot be read. "
                "Change its permissions, or choose another folder."
            ).format(folder=name, part=shown_paragraph(str(scan.unreadable_folders[0])))
        if scan.other_files:
            text = self.tr("{folder} holds no pictures, only other files.")
        else:
            text = self.tr("{folder} is empty.")
        remedy = self.tr("Choose a folder of pictures, such as JPEG, PNG, WebP or TIFF.")
        return text.format(folder=name) + " " + remedy

    def _take_failure(self, failure: Failure) -> None:
        self.problem = failure.message
        self._well.show_problem()
        self.looked.emit()

    def _take_drop(self, paths: list[Path]) -> None:
        if len(paths) == 1:
            self.choose(paths[0])
        elif paths:
            self.dropped.emit(paths)

    def _own_name(self) -> None:
        self._is_name_own = True

    def _ask(self) -> None:
        near = self.folder or next(iter(self._recent_folders), None)
        dialog = QFileDialog(self, self.tr("Choose a folder of pictures"), str(near.parent) if near else "")
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setOption(QFileDialog.Option.ShowDirsOnly, False)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(self._choose_named)
        dialog.open()

    def _choose_named(self, name: str) -> None:
        self.choose(Path(name))

    def _recent_button(self, title: str) -> QToolButton:
        made = QToolButton()
        made.setObjectName("recent_folders")
        made.setIcon(icon("clock"))
        made.setText(self.tr("Recent"))
        made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        made.setToolTip(self.tr("Recent folders"))
        made.setAccessibleName(self.tr("Recent folders for {side}").format(side=title))
        made.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        made.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(made)
        for folder in self._recent_folders:
            # A lone "&" would underline the next letter.
            action = menu.addAction(str(folder).replace("&", "&&"))
            action.setData(str(folder))
        menu.triggered.connect(self._choose_recent)
        made.setMenu(menu)
        return made

    def _choose_recent(self, action: QAction) -> None:
        self.choose(Path(str(action.data())))
