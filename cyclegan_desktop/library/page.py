"""The Models page: trainings and model files, with what can be done with each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

from PySide6.QtCore import QStandardPaths, Qt, Signal
from PySide6.QtGui import (
    QAction,
    QIcon,
    QKeySequence,
    QPixmap,
    QResizeEvent,
    QShortcut,
)
from PySide6.QtWidgets import (
    QFileDialog,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QMenu,
    QPushButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from cyclegan_desktop.icons import icon
from cyclegan_desktop.library.entries import LibraryEntry
from cyclegan_desktop.library.entry_line import ENTRY, STATE, THUMBNAIL, EntryDelegate
from cyclegan_desktop.library.entry_words import (
    facts_of,
    hint_for,
    network_words,
    problem_of,
    room_words,
    state_words,
    title_of,
    words_without_sheets,
)
from cyclegan_desktop.library.export_outcome import ExportOutcome
from cyclegan_desktop.library.file_dialogs import choose_new_file, choose_reference_files, open_dialog
from cyclegan_desktop.library.keeping import CleanUpDialog, DescribeDialog, trash_question
from cyclegan_desktop.library.sample_sheet import SampleSheet
from cyclegan_desktop.messages import MessageArea
from cyclegan_desktop.plain_text import shown_paragraph
from cyclegan_desktop.style import XS, L, M, S
from cyclegan_desktop.widgets import ElidedLabel, EmptyState, button, card, plain_label

ExportKind = Literal["pth", "onnx", "card"]
"""The reference's weights, ONNX, or the story of a model as JSON."""

_LIST_WIDTHS = (280, 360)
# Width of the page from which every button has all its words.
_ROOM_FOR_WORDS = 1120


class LibraryPage(QWidget):
    """The list on the left, the one chosen on the right.

    Signals:
        open_requested: Show the training in this run folder, without going on with it.
        resume_requested: Go on with the training in this run folder.
        convert_requested: Convert with this run folder or model file.
        reveal_requested: Show this in the file manager.
        remove_requested: Take this off the list.
        add_requested: Put this model file on the list.
        import_requested: Make a model of these .pth files.
        fine_tune_requested: Begin a new training with the networks of this run folder or model file.
        describe_requested: Call this run by another name and note something about it: run folder, name, note.
        duplicate_requested: Begin a new training with the settings of this run folder.
        clean_up_requested: Delete what this run folder does not need: the folder, and the kinds of files as a list.
        trash_requested: Move this run folder or model file to the system's trash; the user has agreed.
        export_requested: Write this run folder or model file in another format, the `ExportKind`, to this folder, or
            file in the case of a card.
    """

    open_requested = Signal(object)
    resume_requested = Signal(object)
    convert_requested = Signal(object)
    reveal_requested = Signal(object)
    remove_requested = Signal(object)
    add_requested = Signal(object)
    import_requested = Signal(list)
    fine_tune_requested = Signal(object)
    describe_requested = Signal(object, str, str)
    duplicate_requested = Signal(object)
    clean_up_requested = Signal(object, list)
    trash_requested = Signal(object)
    export_requested = Signal(object, str, object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("library_page")
        self._is_training = False
        self._is_exporting = False

        title = plain_label(self.tr("Models"), role="title")
        self._add = button(self.tr("&Add a model file..."), "add-file")
        self._add.setObjectName("add_model")
        self._add.clicked.connect(self._choose_file)
        self._import = button(self.tr("&Import..."), "download")
        self._import.setObjectName("import_model")
        self._import.setToolTip(self.tr("Makes a model of .pth files of the reference implementation"))
        self._import.clicked.connect(self._choose_reference_files)
        header = QHBoxLayout()
        header.setSpacing(S)
        header.addWidget(title)
        header.addStretch()
        for made in (self._import, self._add):
            # The title stays in its place.
            policy = made.sizePolicy()
            policy.setRetainSizeWhenHidden(True)
            made.setSizePolicy(policy)
            made.hide()
            header.addWidget(made)

        self.messages = MessageArea()
        self._outcome = ExportOutcome()
        self._outcome.reveal.clicked.connect(self._reveal_outcome)

        self._search = QLineEdit()
        self._search.setObjectName("library_search")
        self._search.setPlaceholderText(self.tr("Search"))
        self._search.setAccessibleName(self.tr("Search the trainings and models"))
        self._search.setClearButtonEnabled(True)
        self._search.setMaximumWidth(_LIST_WIDTHS[1])
        self._search.textChanged.connect(self._filter)
        find = QShortcut(QKeySequence(QKeySequence.StandardKey.Find), self)
        find.activated.connect(self._search.setFocus)
        self._nothing_found = plain_label(self.tr("Nothing matches."), role="muted", wrap=True)
        self._nothing_found.setObjectName("nothing_found")
        self._nothing_found.hide()

        self._list = QListWidget()
        self._list.setObjectName("library_list")
        self._list.setAccessibleName(self.tr("Trainings and model files"))
        self._list.setItemDelegate(EntryDelegate(self._list))
        self._list.setMinimumWidth(_LIST_WIDTHS[0])
        self._list.setMaximumWidth(_LIST_WIDTHS[1])
        self._list.setVerticalScrollMode(QListWidget.ScrollMode.ScrollPerPixel)
        self._list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._list.currentItemChanged.connect(self._show_current)
        self._list.itemActivated.connect(self._convert_with_current)

        self._empty = EmptyState(
            "models",
            self.tr("No models yet"),
            self.tr(
                "A training that you start on the Train page appears here by itself. "
                "You can also add a model file that someone gave you, or import .pth files of the reference."
            ),
            self.tr("Add a model file..."),
        )
        self._empty.action.connect(self._choose_file)
        first_import = button(self.tr("Import .pth files..."), "download")
        first_import.setObjectName("empty_import")
        first_import.clicked.connect(self._choose_reference_files)
        self._empty.add_button(first_import)

        both = QWidget()
        row = QHBoxLayout(both)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(L)
        column = QVBoxLayout()
        column.setSpacing(S)
        column.addWidget(self._search)
        column.addWidget(self._nothing_found)
        column.addWidget(self._list, 1)
        row.addLayout(column, 1)
        row.addWidget(self._make_details(), 2)
        self._stack = QStackedWidget()
        self._stack.addWidget(self._empty)
        self._stack.addWidget(both)
        # Nothing, until it is known whether there is something.
        self._stack.setCurrentIndex(self._stack.addWidget(QWidget()))

        layout = QVBoxLayout(self)
        layout.setContentsMargins(L, L, L, L)
        layout.setSpacing(M)
        layout.addLayout(header)
        layout.addWidget(self.messages)
        layout.addWidget(self._outcome)
        layout.addWidget(self._stack, 1)

    def show_entry(self, entry: LibraryEntry) -> None:
        """Add an entry at the end, or renew the one of the same path in its place."""
        item = self._item(entry.path)
        if item is None:
            item = QListWidgetItem()
            self._list.addItem(item)
        item.setData(ENTRY, entry)
        item.setData(THUMBNAIL, QPixmap.fromImage(entry.thumbnail()))
        item.setData(STATE, state_words(entry))
        # What a screen reader says, and what typing a letter looks for.
        item.setText(title_of(entry))
        item.setHidden(not self._matches(entry))
        self._show_list(True)
        if self._list.currentItem() is None:
            self._list.setCurrentItem(item)
        elif item is self._list.currentItem():
            self._show_current()

    def arrange(self, paths: list[Path]) -> None:
        """Put the entries into this order and take away all others. The one chosen stays chosen."""
        self._show_list(bool(paths))
        if paths == [self._entry(self._list.item(row)).path for row in range(self._list.count())]:
            return
        chosen = self.current_path()
        items = {self._entry(item).path: item for item in self._take_all()}
        for path in paths:
            self._list.addItem(items[path])
            # Taking an item out of the list shows it again.
            items[path].setHidden(not self._matches(self._entry(items[path])))
        remaining = self._item(chosen) if chosen in paths else self._list.item(0)
        if remaining is not None:
            self._list.setCurrentItem(remaining)

    def select(self, path: Path) -> None:
        """Choose the entry of this path, if it is listed."""
        item = self._item(path)
        if item is not None:
            self._list.setCurrentItem(item)

    def current_path(self) -> Path | None:
        """The path of the entry chosen."""
        item = self._list.currentItem()
        return None if item is None else self._entry(item).path

    def set_training(self, running: bool) -> None:
        """While a training runs no other one can be resumed."""
        self._is_training = running
        self._show_current()

    def set_exporting(self, text: str) -> None:
        """While a model is exported no other one can be.

        Args:
            text: What is being written, or "" when nothing is.
        """
        self._is_exporting = bool(text)
        self._outcome.show_busy(text)
        self._show_current()

    def show_exported(self, text: str, path: Path) -> None:
        """Say that files were written.

        Args:
            text: Whole sentences.
            path: One of the files, to be shown in its folder.
        """
        self._outcome.show_done(text, path)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """In a small window the buttons have fewer words and icons, so that none is cut off."""
        super().resizeEvent(event)
        self._shorten(event.size().width() < _ROOM_FOR_WORDS)

    def _shorten(self, is_short: bool) -> None:
        self._convert.setText(self.tr("&Convert") if is_short else self.tr("&Convert with this"))
        self._resume.setText(self.tr("&Resume") if is_short else self.tr("&Resume training"))
        for made, name in ((self._resume, "play"), (self._fine_tune, "train"), (self._export, "save")):
            made.setIcon(QIcon() if is_short else icon(name))

    def _show_list(self, shown: bool) -> None:
        self._stack.setCurrentIndex(1 if shown else 0)
        # The empty page has its own.
        self._add.setVisible(shown)
        self._import.setVisible(shown)

    def _make_details(self) -> QFrame:
        panel = card()
        panel.setObjectName("library_details")
        self._title_label = plain_label(role="title", wrap=True)
        self._title_label.setObjectName("library_title")
        self._subtitle = plain_label(role="muted", wrap=True)
        self._networks = plain_label(role="muted", wrap=True)
        self._networks.setObjectName("library_networks")
        self._room = plain_label(role="muted", wrap=True)
        self._room.setObjectName("library_room")
        self._note = plain_label(wrap=True)
        self._note.setObjectName("library_note")
        self._problem = plain_label(role="error", wrap=True)
        self._problem.setObjectName("library_problem")

        self._pictures = (SampleSheet(), SampleSheet())
        self._direction_labels = (plain_label(role="muted", wrap=True), plain_label(role="muted", wrap=True))
        self._sheets = QWidget()
        grid = QGridLayout(self._sheets)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(L)
        grid.setVerticalSpacing(XS)
        for column, (label, picture) in enumerate(zip(self._direction_labels, self._pictures, strict=True)):
            grid.addWidget(label, 0, column)
            grid.addWidget(picture, 1, column)
            grid.setColumnStretch(column, 1)
        grid.setRowStretch(1, 1)
        self._no_sheets = EmptyState("picture", "", "")
        self._middle = QStackedWidget()
        self._middle.addWidget(self._sheets)
        self._middle.addWidget(self._no_sheets)

        self._path_label = ElidedLabel(role="muted")
        self._path_label.setObjectName("library_path")
        self._convert = button(self.tr("&Convert with this"), "convert", primary=True)
        self._convert.setObjectName("library_convert")
        self._convert.clicked.connect(self._convert_with_current)
        self._open = button(self.tr("&Open"), "picture")
        self._open.setObjectName("library_open")
        self._open.setToolTip(self.tr("Shows its film, curves and scores on the Train page, and trains nothing"))
        self._open.clicked.connect(lambda: self._ask(self.open_requested.emit))
        self._resume = button(self.tr("&Resume training"), "play")
        self._resume.setObjectName("library_resume")
        self._resume.clicked.connect(lambda: self._ask(self.resume_requested.emit))
        self._reveal = button(self.tr("Show in &file manager"), "reveal")
        self._reveal.setObjectName("library_reveal")
        self._reveal.clicked.connect(lambda: self._ask(self.reveal_requested.emit))
        self._remove = button(self.tr("Remove from &list"), "clear")
        self._remove.setObjectName("library_remove")
        self._remove.setToolTip(self.tr("Takes it off this list. Its files stay where they are."))
        self._remove.setShortcut(QKeySequence(QKeySequence.StandardKey.Delete))
        self._remove.clicked.connect(lambda: self._ask(self.remove_requested.emit))
        self._fine_tune = button(self.tr("Fi&ne-tune..."), "train")
        self._fine_tune.setObjectName("library_fine_tune")
        self._fine_tune.setToolTip(self.tr("Begins a new training with these networks instead of with random ones"))
        self._fine_tune.clicked.connect(lambda: self._ask(self.fine_tune_requested.emit))
        buttons = QHBoxLayout()
        buttons.setSpacing(S)
        for made in (self._convert, self._resume, self._fine_tune, self._make_export(), self._make_more()):
            buttons.addWidget(made)
        buttons.addStretch()
        place = QHBoxLayout()
        place.setSpacing(M)
        place.addWidget(self._path_label, 1)
        place.addWidget(self._open)
        place.addWidget(self._reveal)
        top = QHBoxLayout()
        top.setSpacing(M)
        top.addWidget(self._title_label, 1)
        top.addWidget(self._remove, 0, Qt.AlignmentFlag.AlignTop)
        self._why_not = plain_label(role="muted", wrap=True)
        self._why_not.setObjectName("library_hint")

        layout = QVBoxLayout(panel)
        layout.setContentsMargins(L, L, L, L)
        layout.setSpacing(S)
        layout.addLayout(top)
        for widget in (self._subtitle, self._networks, self._room, self._note, self._problem):
            layout.addWidget(widget)
        layout.addWidget(self._middle, 1)
        layout.addLayout(place)
        layout.addWidget(self._why_not)
        layout.addLayout(buttons)
        return panel

    def _make_export(self) -> QPushButton:
        self._export = button(self.tr("E&xport..."), "save")
        self._export.setObjectName("library_export")
        menu = QMenu(self._export)
        kinds: tuple[tuple[ExportKind, str, str], ...] = (
            ("pth", self.tr("Reference .pth files..."), self.tr("Choose a folder for the .pth files")),
            ("onnx", self.tr("ONNX..."), self.tr("Choose a folder for the ONNX files")),
            ("card", self.tr("Model card (JSON)..."), self.tr("Save the model card as")),
        )
        for kind, text, title in kinds:
            action = menu.addAction(text)
            action.setObjectName(f"export_{kind}")
            action.triggered.connect(lambda _checked=False, kind=kind, title=title: self._choose_target(kind, title))
        self._export.setMenu(menu)
        return self._export

    def _make_more(self) -> QPushButton:
        self._more = button(self.tr("&More"))
        self._more.setObjectName("library_more")
        menu = QMenu(self._more)
        self._actions: dict[str, QAction] = {}
        for name, text, act, key in (
            ("describe", self.tr("Name and note..."), self._ask_for_name, "F2"),
            ("duplicate", self.tr("New training with these settings..."), self._ask_to_duplicate, ""),
            ("clean_up", self.tr("Clean up..."), self._ask_to_clean_up, ""),
            ("trash", self.tr("Move to the trash..."), self._ask_to_trash, "Shift+Del"),
        ):
            action = QAction(text, self)
            action.setObjectName(f"library_{name}")
            action.triggered.connect(act)
            if key:
                action.setShortcut(QKeySequence(key))
                # Also while the menu is closed, but only on this page.
                action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
                self.addAction(action)
            menu.addAction(action)
            self._actions[name] = action
        self._more.setMenu(menu)
        return self._more

    def _ask_for_name(self) -> None:
        entry = self._current()
        if entry is not None:
            dialog = DescribeDialog(title_of(replace(entry, name="")), entry.name, entry.note, self)
            dialog.described.connect(lambda name, note: self.describe_requested.emit(entry.path, name, note))
            dialog.open()

    def _ask_to_duplicate(self) -> None:
        self._ask(self.duplicate_requested.emit)

    def _ask_to_clean_up(self) -> None:
        entry = self._current()
        if entry is not None:
            dialog = CleanUpDialog(title_of(entry), entry.freeable, self)
            dialog.agreed.connect(lambda kinds: self.clean_up_requested.emit(entry.path, kinds))
            dialog.open()

    def _ask_to_trash(self) -> None:
        entry = self._current()
        if entry is not None:
            dialog = trash_question(title_of(entry), entry, self)
            dialog.accepted.connect(lambda: self.trash_requested.emit(entry.path))
            dialog.open()

    def _current(self) -> LibraryEntry | None:
        item = self._list.currentItem()
        return None if item is None else self._entry(item)

    def _matches(self, entry: LibraryEntry) -> bool:
        """Whether every word that is searched for stands somewhere in what is said of an entry."""
        said = " ".join((title_of(entry), entry.name_A, entry.name_B, entry.preset, entry.note, str(entry.path)))
        return all(word in said.casefold() for word in self._search.text().casefold().split())

    def _filter(self) -> None:
        for row in range(self._list.count()):
            item = self._list.item(row)
            item.setHidden(not self._matches(self._entry(item)))
        shown = [row for row in range(self._list.count()) if not self._list.item(row).isHidden()]
        self._nothing_found.setVisible(not shown)
        if shown and self._list.currentRow() not in shown:
            self._list.setCurrentRow(shown[0])

    def _show_current(self, *_: object) -> None:
        item = self._list.currentItem()
        if item is None:
            return
        entry = self._entry(item)
        self._title_label.setText(title_of(entry))
        self._subtitle.setText(facts_of(entry))
        self._subtitle.setVisible(bool(self._subtitle.text()))
        self._networks.setText(network_words(entry))
        self._networks.setVisible(bool(self._networks.text()))
        self._room.setText(room_words(entry))
        self._room.setVisible(bool(self._room.text()))
        # The notes of model files stand in the middle, where runs have their samples.
        self._note.setText(shown_paragraph(entry.note) if entry.kind == "run" else "")
        self._note.setVisible(bool(self._note.text()))
        self._problem.setText(problem_of(entry))
        self._problem.setVisible(bool(self._problem.text()))
        self._path_label.setText(str(entry.path))
        self._show_sheets(entry)
        self._convert.setEnabled(entry.can_convert)
        self._open.setVisible(entry.kind == "run")
        self._open.setEnabled(not self._is_training)
        self._resume.setVisible(entry.kind == "run")
        self._resume.setEnabled(entry.can_resume and not self._is_training)
        self._fine_tune.setEnabled(entry.can_fine_tune and not self._is_training)
        self._export.setEnabled(entry.can_convert and not self._is_exporting)
        self._export.setText(self.tr("Exporting...") if self._is_exporting else self.tr("E&xport..."))
        self._reveal.setEnabled(entry.kind != "missing")
        self._remove.setVisible(entry.kind != "starter")
        for name, action in self._actions.items():
            action.setEnabled(entry.kind == "run" or (name == "trash" and entry.kind in ("model", "unreadable")))
        self._actions["duplicate"].setEnabled(entry.kind == "run" and not self._is_training)
        self._more.setEnabled(any(action.isEnabled() for action in self._actions.values()))
        self._why_not.setText(hint_for(entry, is_training=self._is_training))
        self._why_not.setVisible(bool(self._why_not.text()))

    def _show_sheets(self, entry: LibraryEntry) -> None:
        self._middle.setCurrentIndex(0 if entry.sheets else 1)
        names = (entry.name_A, entry.name_B)
        for index, (label, picture) in enumerate(zip(self._direction_labels, self._pictures, strict=True)):
            has_sheet = index < len(entry.sheets)
            label.setVisible(has_sheet)
            picture.setVisible(has_sheet)
            if has_sheet:
                source, target = names if index == 0 else names[::-1]
                label.setText(
                    self.tr("{source} to {target}: original, translated, back again").format(
                        source=source, target=target
                    )
                )
                picture.set_image(entry.sheets[index])
        self._no_sheets.set_text(*words_without_sheets(entry))

    def _convert_with_current(self, *_: object) -> None:
        if self._convert.isEnabled():
            self._ask(self.convert_requested.emit)

    def _ask(self, emit: Callable[[Path], None]) -> None:
        path = self.current_path()
        if path is not None:
            emit(path)

    def _choose_file(self) -> None:
        dialog = QFileDialog(self, self.tr("Add a model file"))
        dialog.setObjectName("model_dialog")
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.setNameFilter(self.tr("Models (*.safetensors)"))
        dialog.fileSelected.connect(lambda name: self.add_requested.emit(Path(name)))
        open_dialog(dialog)

    def _choose_reference_files(self) -> None:
        dialog = choose_reference_files(self)
        dialog.filesSelected.connect(lambda names: self.import_requested.emit([Path(name) for name in names]))

    def _choose_target(self, kind: ExportKind, title: str) -> None:
        """Ask for the folder of an export, or for the file of a model card."""
        item = self._list.currentItem()
        if item is None:
            return
        path = self._entry(item).path
        dialog = QFileDialog(self, title)
        dialog.setObjectName("export_dialog")
        dialog.setDirectory(_near(self._entry(item)))
        if kind == "card":
            name = f"{path.name.removesuffix('.safetensors')}.json"
            choose_new_file(dialog, name, self.tr("Model cards (*.json)"), "json")
        else:
            dialog.setFileMode(QFileDialog.FileMode.Directory)
            open_dialog(dialog)
        dialog.fileSelected.connect(lambda name: self.export_requested.emit(path, kind, Path(name)))

    def _reveal_outcome(self) -> None:
        if self._outcome.path is not None:
            self.reveal_requested.emit(self._outcome.path)

    def _entry(self, item: QListWidgetItem) -> LibraryEntry:
        entry = item.data(ENTRY)
        assert isinstance(entry, LibraryEntry)
        return entry

    def _item(self, path: Path | None) -> QListWidgetItem | None:
        items = (self._list.item(row) for row in range(self._list.count()))
        return next((item for item in items if self._entry(item).path == path), None)

    def _take_all(self) -> list[QListWidgetItem]:
        blocked = self._list.blockSignals(True)
        items = [self._list.takeItem(0) for _ in range(self._list.count())]
        self._list.blockSignals(blocked)
        return items


def _near(entry: LibraryEntry) -> str:
    """The folder in which an export is first looked for: beside the model, but never within the app itself."""
    if entry.kind == "starter":
        return QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DocumentsLocation)
    return str(entry.path if entry.kind == "run" else entry.path.parent)
