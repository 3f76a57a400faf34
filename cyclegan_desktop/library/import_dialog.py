"""The dialog that makes a model of the reference's .pth files: what they are, and what only the user can say."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, assert_never

from PySide6.QtCore import QSignalBlocker, QSize, Qt, Signal
from PySide6.QtGui import QColor, QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QDialog,
    QFileDialog,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QScrollArea,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from cyclegan_desktop.drops import accept_copy, local_paths, reference_files
from cyclegan_desktop.icons import icon
from cyclegan_desktop.library.file_dialogs import choose_new_file, choose_reference_files
from cyclegan_desktop.library.model_words import architecture_words, direction_words, directions_words
from cyclegan_desktop.plain_text import shown_paragraph, shown_text
from cyclegan_desktop.style import SUCCESS, XL, XS, L, M, S
from cyclegan_desktop.widgets import ElidedLabel, NoWheelSpinBox, button, plain_label, plain_tooltip, set_look
from engine.config import Direction
from engine.model.architecture import Architecture

FileRole = Literal["G_AB", "G_BA", "D_A", "D_B"]
"""Which network a file holds, by our names."""

_ROWS_SHOWN: Final = 4


@dataclass(frozen=True, slots=True)
class Recognised:
    """What .pth files turned out to hold.

    Attributes:
        files: Each file and its network.
        architecture: What the generators are made of.
        directions: The generators that are there.
        has_discriminators: Whether the discriminators are there too.
    """

    files: tuple[tuple[Path, FileRole], ...]
    architecture: Architecture
    directions: tuple[Direction, ...]
    has_discriminators: bool


@dataclass(frozen=True, slots=True)
class ImportChoice:
    """What the user has decided.

    Attributes:
        names: Names of domain A and domain B.
        to: The model file to be written.
        size: Side of the crops it was trained on, in pixels.
    """

    names: tuple[str, str]
    to: Path
    size: int


class ImportDialog(QDialog):
    """Shows what was recognised, and asks for names, size and place. It blocks its window, not the program.

    Signals:
        files_chosen: Other files are to be looked at, in place of those shown.
        files_added: More files are to be looked at, beside those shown.
        names_edited: The user has changed a name.
        place_edited: The user has said where the model is to be saved.
        import_requested: The user wants this: `ImportChoice`.
        convert_requested: The user wants to convert with what was imported.
    """

    files_chosen = Signal(list)
    files_added = Signal(list)
    names_edited = Signal()
    place_edited = Signal()
    import_requested = Signal(object)
    convert_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("import_dialog")
        self.setWindowTitle(self.tr("Import a model"))
        self.setWindowModality(Qt.WindowModality.WindowModal)
        self.setAcceptDrops(True)
        self._recognised: Recognised | None = None
        self._beside: list[Path] = []
        self._is_importing = False
        self._errors: dict[str, QLabel] = {}
        self._fields: dict[str, QWidget] = {}

        self._pages = QStackedWidget()
        self._pages.addWidget(self._make_form())
        self._pages.addWidget(self._make_done())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(XL, L, XL, L)
        layout.addWidget(self._pages)
        self.resize(640, 540)
        self._refresh()

    @property
    def names(self) -> tuple[str, str]:
        """The names of the two domains, as typed."""
        return self._names[0].text().strip(), self._names[1].text().strip()

    @property
    def is_importing(self) -> bool:
        """Whether the model is being written now."""
        return self._is_importing

    # What is shown

    def show_reading(self, files: Sequence[Path], beside: Sequence[Path]) -> None:
        """The files are being looked at.

        Args:
            files: Those chosen.
            beside: Others of the same training, in the same folder, which are offered.
        """
        self._pages.setCurrentIndex(0)
        self._import.setDefault(True)
        self._recognised = None
        self._beside = list(beside)
        self._take_beside.setText(self._beside_words())
        self._take_beside.setToolTip(plain_tooltip(", ".join(path.name for path in beside)))
        self._take_beside.setVisible(bool(beside))
        self._show_files([(path, "") for path in files])
        self._tell(self.tr("Reading..."), role="muted")
        self._clear_errors()
        self._refresh()

    def show_recognised(self, recognised: Recognised) -> None:
        """The files are known: what is left to say can be said."""
        self._recognised = recognised
        self._size.setSingleStep(recognised.architecture.multiple)
        self._show_words()
        self._refresh()
        if not all(self.names):
            self._names[0 if not self.names[0] else 1].setFocus()

    def show_unreadable(self, message: str) -> None:
        """The files cannot be imported: whole sentences that say why."""
        self._recognised = None
        self._tell(message, role="error")
        self._refresh()

    def set_names(self, name_A: str, name_B: str) -> None:
        """Propose names, without taking them for the user's."""
        for edit, name in zip(self._names, (name_A, name_B), strict=True):
            with QSignalBlocker(edit):
                edit.setText(name)
        self._show_words()
        self._refresh()

    def set_place(self, to: Path) -> None:
        """Propose where the model is saved, without taking it for the user's."""
        with QSignalBlocker(self._place):
            self._place.setText(str(to))
        self._place.setToolTip(plain_tooltip(str(to)))
        self._refresh()

    def show_importing(self) -> None:
        """The model is being written; nothing can be changed until that has ended."""
        self._is_importing = True
        self._clear_errors()
        self._refresh()

    def show_problem(self, message: str, field: str = "") -> None:
        """The import has failed.

        Args:
            message: Whole sentences with the remedy.
            field: "name_A", "name_B", "size" or "to" where the sentence belongs beside that field.
        """
        self._is_importing = False
        self._clear_errors()
        label = self._errors.get(field, self._errors[""])
        label.setText(shown_paragraph(message))
        label.show()
        if field in self._fields:
            set_look(self._fields[field], "invalid", True)
            self._fields[field].setFocus()
        self._refresh()

    def show_done(self, title: str, facts: str, path: Path) -> None:
        """The model is there: offer to use it.

        Args:
            title: What it is called.
            facts: What it is, in one line.
            path: Its file.
        """
        self._is_importing = False
        self._recognised = None
        self._done_title.setText(self.tr("{model} is imported").format(model=shown_text(title)))
        self._done_facts.setText(facts)
        self._done_path.setText(str(path))
        self._pages.setCurrentIndex(1)
        self._convert.setDefault(True)
        self._convert.setFocus()

    # Dropping, closing

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take further files, such as the other direction's."""
        weights, _ = reference_files(local_paths(event.mimeData()))
        if weights and not self._is_importing:
            accept_copy(event)

    def dropEvent(self, event: QDropEvent) -> None:
        """Hand them over."""
        accept_copy(event)
        weights, _ = reference_files(local_paths(event.mimeData()))
        # Where nothing was recognised, and after an import, the new files are meant instead.
        signal = self.files_chosen if self._recognised is None else self.files_added
        signal.emit(weights)

    # Parts

    def _make_form(self) -> QWidget:
        form = QWidget()
        title = plain_label(self.tr("Import a model of the reference"), role="title")
        what = plain_label(
            self.tr(
                "The reference implementation (pytorch-CycleGAN-and-pix2pix) keeps each network in a .pth file of "
                "weights only. What the files do not say, you say here."
            ),
            role="muted",
            wrap=True,
        )
        layout = QVBoxLayout(form)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(M)
        layout.addWidget(title)
        layout.addWidget(what)
        layout.addWidget(self._make_files())
        layout.addLayout(self._make_names())
        layout.addLayout(self._make_size())
        layout.addLayout(self._make_place())
        layout.addWidget(self._error(""))
        layout.addStretch(1)
        layout.addLayout(self._make_buttons())
        return form

    def _make_files(self) -> QFrame:
        frame = QFrame()
        frame.setProperty("card", True)
        self._files = QWidget()
        self._rows = QGridLayout(self._files)
        self._rows.setContentsMargins(0, 0, S, 0)
        self._rows.setHorizontalSpacing(L)
        self._rows.setVerticalSpacing(XS)
        self._rows.setColumnStretch(0, 1)
        self._scroll = QScrollArea()
        self._scroll.setObjectName("import_files")
        self._scroll.setWidgetResizable(True)
        self._scroll.setFrameShape(QFrame.Shape.NoFrame)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroll.setWidget(self._files)
        for widget in (self._scroll, self._scroll.viewport(), self._files):
            widget.setAutoFillBackground(False)
        self._recognised_label = plain_label(wrap=True)
        self._recognised_label.setObjectName("import_recognised")
        self._recognised_label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._choose = button(self.tr("Choose &other files..."), "folder-open")
        self._choose.setObjectName("import_choose")
        self._choose.clicked.connect(self._ask_for_files)
        self._take_beside = button("", "add-file")
        self._take_beside.setObjectName("import_beside")
        self._take_beside.clicked.connect(lambda: self.files_added.emit(list(self._beside)))
        self._take_beside.hide()
        below = QHBoxLayout()
        below.setSpacing(M)
        below.addWidget(self._recognised_label, 1)
        below.addWidget(self._choose, 0, Qt.AlignmentFlag.AlignBottom)
        layout = QVBoxLayout(frame)
        layout.setContentsMargins(M, M, M, M)
        layout.setSpacing(M)
        layout.addWidget(self._scroll)
        layout.addLayout(below)
        layout.addWidget(self._take_beside, 0, Qt.AlignmentFlag.AlignLeft)
        return frame

    def _make_names(self) -> QGridLayout:
        self._names = (QLineEdit(), QLineEdit())
        grid = QGridLayout()
        grid.setHorizontalSpacing(S)
        grid.setVerticalSpacing(XS)
        captions = (self.tr("Name of domain &A"), self.tr("Name of domain &B"))
        examples = (self.tr("such as Horses"), self.tr("such as Zebras"))
        for column, field, edit, caption, example in zip(
            (0, 2), ("name_A", "name_B"), self._names, captions, examples, strict=True
        ):
            edit.setObjectName(f"import_{field}")
            edit.setPlaceholderText(example)
            edit.setAcceptDrops(False)
            edit.setMaxLength(60)
            edit.textChanged.connect(self._take_names)
            label = plain_label(caption)
            label.setBuddy(edit)
            grid.addWidget(label, 0, column)
            grid.addWidget(edit, 1, column)
            grid.addWidget(self._error(field), 2, column)
            grid.setColumnStretch(column, 1)
            self._fields[field] = edit
        self._swap = QToolButton()
        self._swap.setObjectName("import_swap")
        self._swap.setIcon(icon("swap"))
        self._swap.setIconSize(QSize(18, 18))
        words = self.tr("Swap the names: the files work in the other direction")
        self._swap.setToolTip(words)
        self._swap.setAccessibleName(words)
        self._swap.clicked.connect(self._swap_names)
        grid.addWidget(self._swap, 1, 1)
        return grid

    def _make_size(self) -> QVBoxLayout:
        self._size = NoWheelSpinBox()
        self._size.setObjectName("import_size")
        self._size.setRange(32, 4096)
        self._size.setValue(256)
        self._size.setSuffix(self.tr(" px"))
        self._size.setFixedWidth(120)
        hint = plain_label(
            self.tr(
                "Side of the squares it was trained on. The reference takes 256 unless told otherwise (--crop_size). "
                "Pictures near this size are converted best."
            ),
            role="muted",
            wrap=True,
        )
        row = QHBoxLayout()
        row.setSpacing(M)
        row.addWidget(self._size, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(hint, 1)
        return self._field("size", self.tr("Training si&ze"), self._size, row)

    def _make_place(self) -> QVBoxLayout:
        self._place = QLineEdit()
        self._place.setObjectName("import_to")
        self._place.setAcceptDrops(False)
        self._place.textEdited.connect(self.place_edited)
        self._place.textChanged.connect(self._refresh)
        self._choose_place = button(self.tr("C&hoose..."), "folder")
        self._choose_place.setObjectName("import_choose_to")
        self._choose_place.clicked.connect(self._ask_for_place)
        row = QHBoxLayout()
        row.setSpacing(S)
        row.addWidget(self._place, 1)
        row.addWidget(self._choose_place)
        return self._field("to", self.tr("Sa&ved as"), self._place, row)

    def _field(self, name: str, caption: str, field: QWidget, row: QHBoxLayout) -> QVBoxLayout:
        """The row of a field, with its caption above it and its error below."""
        self._fields[name] = field
        label = plain_label(caption)
        label.setBuddy(field)
        column = QVBoxLayout()
        column.setSpacing(XS)
        column.addWidget(label)
        column.addLayout(row)
        column.addWidget(self._error(name))
        return column

    def _make_buttons(self) -> QHBoxLayout:
        self._busy = QProgressBar()
        self._busy.setRange(0, 0)
        self._busy.setTextVisible(False)
        self._busy.setFixedWidth(120)
        cancel = button(self.tr("Cancel"))
        cancel.setObjectName("import_cancel")
        cancel.clicked.connect(self.reject)
        self._import = button(self.tr("&Import"), "download", primary=True)
        self._import.setObjectName("import_start")
        self._import.setDefault(True)
        self._import.clicked.connect(self._ask)
        row = QHBoxLayout()
        row.setSpacing(S)
        row.addWidget(self._busy)
        row.addStretch()
        row.addWidget(cancel)
        row.addWidget(self._import)
        return row

    def _make_done(self) -> QWidget:
        page = QWidget()
        picture = QLabel()
        picture.setPixmap(icon("check", colour=QColor(SUCCESS)).pixmap(QSize(48, 48)))
        self._done_title = plain_label(role="title", wrap=True)
        self._done_title.setObjectName("import_done")
        self._done_facts = plain_label(role="muted", wrap=True)
        self._done_path = ElidedLabel(role="muted")
        close = button(self.tr("Close"))
        close.setObjectName("import_close")
        close.clicked.connect(self.accept)
        self._convert = button(self.tr("&Convert with it"), "convert", primary=True)
        self._convert.setObjectName("import_convert")
        self._convert.clicked.connect(self._ask_to_convert)
        buttons = QHBoxLayout()
        buttons.setSpacing(S)
        buttons.addStretch()
        buttons.addWidget(close)
        buttons.addWidget(self._convert)
        layout = QVBoxLayout(page)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(S)
        layout.addStretch(2)
        for label in (picture, self._done_title, self._done_facts, self._done_path):
            label.setAlignment(Qt.AlignmentFlag.AlignCenter)
            layout.addWidget(label)
        layout.addStretch(3)
        layout.addLayout(buttons)
        return page

    def _error(self, field: str) -> QLabel:
        label = plain_label(role="error", wrap=True)
        label.setObjectName(f"import_error_{field or 'other'}")
        label.hide()
        self._errors[field] = label
        return label

    # Keeping it in step

    def _show_files(self, files: Sequence[tuple[Path, str]]) -> None:
        while (item := self._rows.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        for row, (path, words) in enumerate(files):
            name = ElidedLabel(path.name)
            name.setToolTip(plain_tooltip(str(path)))
            self._rows.addWidget(name, row, 0)
            self._rows.addWidget(plain_label(shown_text(words), role="muted"), row, 1)
        line = self.fontMetrics().height() + XS
        self._scroll.setFixedHeight(max(1, min(len(files), _ROWS_SHOWN)) * line + XS)

    def _show_words(self) -> None:
        """Say what was recognised, in the names of the moment."""
        if self._recognised is None:
            return
        found = self._recognised
        name_A, name_B = (name or letter for name, letter in zip(self.names, "AB", strict=True))
        self._show_files([(path, self._role_words(role, name_A, name_B)) for path, role in found.files])
        architecture = architecture_words(found.architecture, name_A, name_B)
        directions = directions_words(found.directions, name_A, name_B)
        judges = (
            self.tr("with discriminators, so that its training can be continued")
            if found.has_discriminators
            else self.tr("without discriminators")
        )
        self._tell(
            self.tr("{architecture}; {directions}; {judges}.").format(
                architecture=architecture, directions=directions, judges=judges
            )
        )

    def _role_words(self, role: FileRole, name_A: str, name_B: str) -> str:
        match role:
            case "G_AB":
                return direction_words("a2b", name_A, name_B)
            case "G_BA":
                return direction_words("b2a", name_A, name_B)
            case "D_A":
                return self.tr("discriminator of {name}").format(name=name_A)
            case "D_B":
                return self.tr("discriminator of {name}").format(name=name_B)
            case _:
                assert_never(role)

    def _beside_words(self) -> str:
        if len(self._beside) == 1:
            # Names are data: an ampersand in one is no mnemonic.
            name = shown_text(self._beside[0].name).replace("&", "&&")
            return self.tr("&Take {name} beside it, too").format(name=name)
        return self.tr("&Take the {n} other files of this training, too").format(n=len(self._beside))

    def _tell(self, text: str, *, role: Literal["body", "muted", "error"] = "body") -> None:
        self._recognised_label.setText(shown_paragraph(text))
        set_look(self._recognised_label, "role", role)

    def _clear_errors(self) -> None:
        for label in self._errors.values():
            label.clear()
            label.hide()
        for field in self._fields.values():
            set_look(field, "invalid", False)

    def _refresh(self) -> None:
        is_open = not self._is_importing
        for widget in (
            *self._names,
            self._swap,
            self._size,
            self._place,
            self._choose_place,
            self._choose,
            self._take_beside,
        ):
            widget.setEnabled(is_open)
        is_known = self._recognised is not None
        is_told = all(self.names) and bool(self._place.text().strip())
        self._import.setEnabled(is_open and is_known and is_told)
        self._import.setText(self.tr("&Import") if is_open else self.tr("Importing..."))
        self._busy.setVisible(not is_open)

    # What the user does

    def _take_names(self) -> None:
        self._show_words()
        self._refresh()
        self.names_edited.emit()

    def _swap_names(self) -> None:
        name_A, name_B = self.names
        self.set_names(name_B, name_A)
        self.names_edited.emit()

    def _ask(self) -> None:
        if self._import.isEnabled():
            to = Path(self._place.text().strip())
            with suppress(RuntimeError):  # "~somebody" who has no home here.
                to = to.expanduser()
            self.import_requested.emit(ImportChoice(self.names, to.absolute(), self._size.value()))

    def _ask_to_convert(self) -> None:
        self.accept()
        self.convert_requested.emit()

    def _ask_for_files(self) -> None:
        dialog = choose_reference_files(self)
        dialog.filesSelected.connect(lambda names: self.files_chosen.emit([Path(name) for name in names]))

    def _ask_for_place(self) -> None:
        place = Path(self._place.text().strip())
        dialog = QFileDialog(self, self.tr("Save the model as"), str(place.parent))
        dialog.setObjectName("import_to_dialog")
        dialog.fileSelected.connect(self._take_place)
        choose_new_file(dialog, place.name, self.tr("Models (*.safetensors)"), "safetensors")

    def _take_place(self, name: str) -> None:
        self._place.setText(name)
        self.place_edited.emit()
