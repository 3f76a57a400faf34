"""What to convert with: model, direction, output folder, format, size and more, each with its sentence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, cast

from PySide6.QtCore import QEvent, QSignalBlocker, Qt, Signal
from PySide6.QtGui import QStandardItemModel
from PySide6.QtWidgets import (
    QButtonGroup,
    QFileDialog,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from cyclegan_desktop.conversion.job_choices import JobChoices
from cyclegan_desktop.conversion.output_options import OutputOptions
from cyclegan_desktop.conversion.size_hint import SizeHint
from cyclegan_desktop.icons import icon
from cyclegan_desktop.library.model_words import model_file_words
from cyclegan_desktop.plain_text import shown_paragraph, shown_text
from cyclegan_desktop.style import XS, L, M, S
from cyclegan_desktop.widgets import (
    ElidedLabel,
    NoWheelComboBox,
    NoWheelSpinBox,
    button,
    disable_last,
    plain_label,
    plain_tooltip,
    set_look,
)
from engine.config import Direction, IfExists, OutputFormat, Resize
from engine.conversion.model_file import ModelInfo
from engine.data.writing import can_write

_DIRECTIONS: Final[tuple[Direction, Direction]] = ("a2b", "b2a")
_FIELDS_OF_MODEL: Final = frozenset({"model", "direction", "precision"})
_FIELDS_OF_OUTPUT: Final = frozenset({"to", "format", "resize", "if_exists"})
_FIELDS_OF_MORE: Final = frozenset(
    {"quality", "lossless", "chroma", "frames", "name", "again", "watch", "max_megapixels", "time_limit", "memory_gb"}
    | {"device", "engine"}
)
_NUMBER_WIDTH: Final = 108
_LONGEST_NAME: Final = 15
"""Letters left of each domain's name where both together are too long for a button."""


class ConversionOptions(QFrame):
    """The card above the list: everything that decides what the pictures become and where they go.

    Signals:
        model_picked: A model of those offered.
        model_opened: Another model file.
        direction_picked: "a2b" or "b2a".
        output_picked: The output folder as text; "" for the one beside the pictures.
        choices_changed: The user has chosen something else of `choices`.
        compare_sizes_asked: The sizes are to be seen side by side.

    Attributes:
        size_hint: The advice about the size, hidden until there is some.
    """

    model_picked = Signal(object)
    model_opened = Signal(object)
    direction_picked = Signal(str)
    output_picked = Signal(str)
    choices_changed = Signal()
    compare_sizes_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("convert_options")
        self.setProperty("card", True)
        self._models: list[ModelInfo] = []
        self._output_parent = ""
        # What was wished for comes back with the next model that has it.
        self._wished_size: Resize = None
        self._sizes_of: tuple[int, bool] | None = (0, False)
        self._make_model()
        self._make_directions()
        self._make_output()
        self._make_details()
        self._make_more()
        self._offer_sizes(None)
        self.size_hint = SizeHint()
        self._lay_out()
        self.clear_problems()

    def focus_first(self) -> None:
        """Give the box of models the focus. It is no focus proxy: from one the Tab key would never leave the card."""
        self._model.setFocus(Qt.FocusReason.OtherFocusReason)

    # What the user has chosen

    @property
    def choices(self) -> JobChoices:
        """Everything that is chosen here apart from model, direction and output folder."""
        return JobChoices(
            format=cast("OutputFormat", self._format.currentData()),
            resize=self._resize,
            if_exists=cast("IfExists", self._if_exists.currentData()),
            **self._more.values,
        )

    def set_choices(self, choices: JobChoices) -> None:
        """Show other choices, without `choices_changed`. A format that cannot be written here becomes "keep"."""
        with QSignalBlocker(self):
            self._select(self._format, choices.format)
            self._select(self._if_exists, choices.if_exists)
            self._more.set_values(choices)
            self.set_resize(choices.resize)
            self._more_changed()

    def set_resize(self, resize: Resize) -> None:
        """Choose the size of the results for the user."""
        before = self._resize
        self._wished_size = resize
        self._show_size(resize)
        if self._resize != before:
            self.choices_changed.emit()

    def set_can_compare_sizes(self, can_compare: bool) -> None:
        """Whether there are pictures for which the sizes make a difference; also after the advice was dismissed."""
        self._compare_sizes.setVisible(can_compare)

    @property
    def _resize(self) -> Resize:
        choice = self._size.currentData()
        return self._longest.value() if choice == "longest" else cast("Literal['training', 'change'] | None", choice)

    def commit_output(self) -> None:
        """Take over an output folder that is still being typed."""
        if self._output.isModified():
            self._output.setModified(False)
            self.output_picked.emit(self._output.text().strip())

    # What is shown

    def set_models(self, models: Sequence[ModelInfo], current: Path | None, starter: Path) -> None:
        """Offer models.

        Args:
            models: In the order in which they are listed.
            current: File of the chosen one, None for none.
            starter: File of the model that comes with the app.
        """
        self._models = list(models)
        self._model.clear()
        for model in models:
            label = self.tr("Starter model") if model.path == starter else model_file_words(model)
            words = (shown_text(word) for word in (label, model.name_A, model.name_B))
            self._model.addItem(self.tr("{0} ({1} and {2}, {3} px)").format(*words, model.size))
            tooltip = plain_tooltip(str(model.path))
            self._model.setItemData(self._model.count() - 1, tooltip, Qt.ItemDataRole.ToolTipRole)
        paths = [model.path for model in models]
        self._model.setCurrentIndex(paths.index(current) if current in paths else -1)
        self._model.setPlaceholderText(
            self.tr("Choose a model") if models else self.tr("No model yet: train one, or browse for a file")
        )

    def set_direction(self, model: ModelInfo | None, direction: Direction) -> None:
        """Show the directions of a model in words, which it has, and which one is chosen."""
        has_both = model is not None and len(model.directions) > 1
        only = ""
        if model is not None and not has_both:
            words = shown_text(model.direction_name(model.directions[0]))
            only = self.tr("This model holds {direction} only.").format(direction=words)
        for key, choice in self._directions.items():
            choice.setEnabled(model is not None and key in model.directions)
            choice.setChecked(key == direction)
            if model is None:
                choice.setText(self.tr("A to B") if key == "a2b" else self.tr("B to A"))
                choice.setToolTip("")
                continue
            names = [shown_text(name) for name in (model.name_A, model.name_B)]
            first, second = names if key == "a2b" else reversed(names)
            words = self.tr("{first} to {second}")
            # Names are data: an ampersand in one is no mnemonic.
            text = words.format(first=first, second=second)
            if len(first) + len(second) > 2 * _LONGEST_NAME + 2:
                text = words.format(first=_shortened(first), second=_shortened(second))
            choice.setText(text.replace("&", "&&"))
            is_there = key in model.directions
            choice.setToolTip(plain_tooltip(words.format(first=first, second=second) if is_there else only))
        self._swap.setEnabled(has_both)
        self._only.setText(shown_paragraph(only))
        self._only.setVisible(bool(only))
        self._offer_sizes(model)
        self._more.set_model(model, direction)

    def set_output(self, folder: Path | None, *, chosen: bool) -> None:
        """Show where the results go.

        Args:
            folder: The output folder, None while there is nothing to put it beside.
            chosen: Whether the user chose it; otherwise it follows the pictures.
        """
        if not (self._output.hasFocus() and self._output.isModified()):  # Somebody is typing.
            self._output.setText("" if folder is None else shown_text(str(folder)))
            self._output.setCursorPosition(0)
            self._output.setModified(False)
            self._output.setToolTip(plain_tooltip(self._output.text()))
        self._beside.setVisible(chosen)
        self._output_parent = str(folder.parent) if folder is not None else ""

    # Sentences beside what they are about

    @property
    def output_problem(self) -> str:
        """What was last said about the output folder."""
        return self._output_error.text()

    def clear_problems(self) -> None:
        """Take back every sentence."""
        self.clear_model_problem()
        self.clear_output_problem()
        self._more_error.hide()

    def clear_model_problem(self) -> None:
        """Take back what was said about the model."""
        self._model_error.hide()
        set_look(self._model, "invalid", False)

    def clear_output_problem(self) -> None:
        """Take back what was said about the output folder."""
        self._output_error.hide()
        set_look(self._output, "invalid", False)

    def show_problem(self, text: str, field: str) -> bool:
        """Say what is wrong with a setting.

        Args:
            text: One or more whole sentences.
            field: A field of `ConvertJob`.

        Returns:
            Whether the setting is one of these.
        """
        if field in _FIELDS_OF_MODEL:
            label, widget = self._model_error, cast("QWidget", self._model)
        elif field in _FIELDS_OF_OUTPUT:
            label, widget = self._output_error, self._output
        elif field in _FIELDS_OF_MORE:
            label, widget = self._more_error, self._more_button
        else:
            return False
        label.setText(shown_paragraph(text))
        label.show()
        set_look(widget, "invalid", True)
        return True

    def show_output_inside(self, root: Path) -> None:
        """The output folder lies among the pictures."""
        self.show_problem(
            self.tr(
                "The output folder lies inside {0}, whose pictures are being converted. Choose a folder outside of it."
            ).format(root),
            "to",
        )

    def show_not_whole_path(self) -> None:
        """The output folder was typed as something that depends on where the app was started."""
        example = Path.home() / self.tr("Pictures") / self.tr("Results")
        self.show_problem(self.tr("Give the whole path of the output folder, such as {0}.").format(example), "to")

    def show_no_model(self) -> None:
        """Convert was asked for without a model."""
        self.show_problem(self.tr("Choose a model first: it decides what the pictures become."), "model")

    # Picking

    def pick_model(self) -> None:
        """Ask for a model file."""
        dialog = QFileDialog(
            self, self.tr("Choose a model"), "", self.tr("Models (*.safetensors *.pth *.pt);;All files (*)")
        )
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.fileSelected.connect(lambda file: self.model_opened.emit(Path(file)))
        self._open_dialog(dialog)

    def pick_output(self) -> None:
        """Ask for the output folder."""
        dialog = QFileDialog(self, self.tr("Choose the output folder"), self._output_parent)
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.fileSelected.connect(self.output_picked)
        self._open_dialog(dialog)

    def _open_dialog(self, dialog: QFileDialog) -> None:
        # Not exec: an event loop within an event loop would let everything else happen inside a click.
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()

    # How it is made

    def _make_model(self) -> None:
        self._model = NoWheelComboBox()
        self._model.setObjectName("convert_model")
        # Long names are cut off in the box and whole in its list, rather than widening the window.
        self._model.setSizeAdjustPolicy(NoWheelComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self._model.setMinimumContentsLength(12)
        self._model.activated.connect(lambda place: self.model_picked.emit(self._models[place].path))
        self._browse = button(self.tr("&Browse..."))
        self._browse.setObjectName("convert_browse_model")
        self._browse.clicked.connect(self.pick_model)
        self._model_error = plain_label(role="error", wrap=True)
        self._model_error.setObjectName("convert_model_error")

    def _make_directions(self) -> None:
        self._directions: dict[Direction, QPushButton] = {}
        group = QButtonGroup(self)
        for key in _DIRECTIONS:
            choice = button("")
            choice.setObjectName(f"convert_{key}")
            choice.setCheckable(True)
            choice.clicked.connect(lambda _checked=False, key=key: self.direction_picked.emit(key))
            group.addButton(choice)
            self._directions[key] = choice
        self._swap = QToolButton()
        self._swap.setObjectName("convert_swap")
        self._swap.setIcon(icon("swap"))
        self._swap.setToolTip(self.tr("Swap the direction"))
        self._swap.setAccessibleName(self.tr("Swap the direction"))
        self._swap.clicked.connect(self._swap_direction)
        self._only = plain_label(role="muted", wrap=True)
        self._only.setObjectName("convert_only_direction")
        self._only.hide()

    def _make_output(self) -> None:
        self._output = QLineEdit()
        self._output.setObjectName("convert_output")
        self._output.setPlaceholderText(self.tr("Beside the pictures"))
        self._output.setAcceptDrops(False)
        self._output.setMinimumWidth(80)
        self._output.editingFinished.connect(self.commit_output)
        self._beside = QToolButton()
        self._beside.setObjectName("convert_output_beside")
        self._beside.setIcon(icon("close"))
        self._beside.setToolTip(self.tr("Back to a folder beside the pictures"))
        self._beside.setAccessibleName(self.tr("Back to a folder beside the pictures"))
        self._beside.clicked.connect(lambda: self.output_picked.emit(""))
        self._choose = button(self.tr("Choo&se..."))
        self._choose.setObjectName("convert_choose_output")
        self._choose.clicked.connect(self.pick_output)
        self._output_error = plain_label(role="error", wrap=True)
        self._output_error.setObjectName("convert_output_error")

    def _make_details(self) -> None:
        self._format = _combo_box("convert_format", self.tr("What kind of files the results are."))
        for text, value in (
            (self.tr("Keep"), "keep"),
            ("JPEG", "jpg"),
            ("PNG", "png"),
            ("WebP", "webp"),
            ("TIFF", "tiff"),
            ("BMP", "bmp"),
            ("GIF", "gif"),
            ("AVIF", "avif"),
            ("JPEG 2000", "jp2"),
            ("HEIC", "heic"),
        ):
            there = can_write(cast("OutputFormat", value))
            if there or value == "heic":
                self._format.addItem(text, value)
            if not there and value == "heic":
                disable_last(
                    self._format,
                    self.tr('HEIC needs the extra "heic": pip install "cyclegan-desktop[heic]", then start anew.'),
                )
        self._format.setItemData(
            0,
            self.tr("Each result has its source's format, or PNG where that cannot be written."),
            Qt.ItemDataRole.ToolTipRole,
        )
        self._format.currentIndexChanged.connect(self._format_changed)
        self._size = _combo_box("convert_size", "")
        # Its longest words are cut off where there is no room for them, and whole in its list.
        self._size.setSizeAdjustPolicy(NoWheelComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self._size.setMinimumContentsLength(9)
        self._longest = NoWheelSpinBox()
        self._longest.setObjectName("convert_longest")
        self._longest.setRange(8, 100_000)
        self._longest.setValue(1024)
        self._longest.setSuffix(self.tr(" px"))
        self._longest.setFixedWidth(_NUMBER_WIDTH)
        self._longest.setAccessibleName(self.tr("Longest side in pixels"))
        self._longest.setToolTip(self.tr("Pictures with a longer side are scaled down to this; smaller ones stay."))
        self._longest.hide()
        self._compare_sizes = QToolButton()
        self._compare_sizes.setObjectName("convert_compare_sizes")
        self._compare_sizes.setIcon(icon("compare-side"))
        self._compare_sizes.setToolTip(self.tr("Compare sizes, with a picture much larger than the model's"))
        self._compare_sizes.setAccessibleName(self.tr("Compare sizes"))
        self._compare_sizes.clicked.connect(self.compare_sizes_asked)
        self._compare_sizes.hide()
        self._size.currentIndexChanged.connect(self._size_changed)
        self._longest.valueChanged.connect(self._size_changed)
        self._if_exists = _combo_box(
            "convert_if_exists", self.tr("What to do where the output folder has a file of a result's name.")
        )
        for text, value, tip in (
            (self.tr("Rename"), "rename", self.tr('The result becomes "name (1)", and the file stays.')),
            (self.tr("Skip"), "skip", self.tr("The file stays, and the picture is not converted.")),
            (self.tr("Overwrite"), "overwrite", self.tr("The result takes the file's place; never that of a source.")),
        ):
            self._if_exists.addItem(text, value)
            self._if_exists.setItemData(self._if_exists.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        self._if_exists.currentIndexChanged.connect(self.choices_changed)

    def _make_more(self) -> None:
        self._more = OutputOptions(self)
        self._more.changed.connect(self._more_changed)
        self._more_button = button(self.tr("Mor&e..."))
        self._more_button.setObjectName("convert_more")
        self._more_button.setToolTip(self.tr("Quality, names, watching folders, limits, the device and the engine."))
        self._more_button.clicked.connect(self.show_more)
        self._summary = ElidedLabel(role="muted")
        self._summary.setObjectName("convert_summary")
        self._summary.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._summary.hide()
        self._more_error = plain_label(role="error", wrap=True)
        self._more_error.setObjectName("convert_more_error")

    def _lay_out(self) -> None:
        first = QGridLayout()
        _add_field(first, self.tr("Mode&l"), self._model, self._browse)
        first.setColumnStretch(0, 1)
        _add_field(first, self.tr("Direction"), *self._directions.values(), self._swap)
        second = QGridLayout()
        _add_field(second, self.tr("Out&put folder"), self._output, self._beside, self._choose)
        second.setColumnStretch(0, 3)
        _add_field(second, self.tr("&Format"), self._format)
        _add_field(second, self.tr("Si&ze"), self._size, self._longest, self._compare_sizes)
        second.setColumnStretch(2, 2)
        _add_field(second, self.tr("If a file e&xists"), self._if_exists)
        second.addWidget(self._more_button, 1, second.columnCount())
        for grid in (first, second):
            grid.setHorizontalSpacing(M)
            grid.setVerticalSpacing(XS)

        layout = QVBoxLayout(self)
        layout.setContentsMargins(L, M, L, M)
        layout.setSpacing(S)
        layout.addLayout(first)
        layout.addWidget(self._only)
        layout.addWidget(self._model_error)
        layout.addLayout(second)
        layout.addWidget(self._summary)
        layout.addWidget(self._output_error)
        layout.addWidget(self._more_error)
        layout.addWidget(self.size_hint)

    # What happens

    def show_more(self) -> None:
        """Open the options behind "More...", or bring them to the front."""
        self._more.show()
        self._more.raise_()
        self._more.activateWindow()

    def changeEvent(self, event: QEvent) -> None:
        """Let the options in their own window be changed only as long as those here can be."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.EnabledChange:
            self._more.set_changeable(self.isEnabled())

    def _offer_sizes(self, model: ModelInfo | None) -> None:
        """Offer the sizes that a model has, and choose again what was wished for."""
        sizes_of = None if model is None else (model.size, model.architecture.long_skip)
        if sizes_of == self._sizes_of:
            return
        self._sizes_of = sizes_of
        before = self._resize
        with QSignalBlocker(self._size):
            self._size.clear()
            pixels = "" if model is None else self.tr(" ({0} px)").format(model.size)
            self._add_size(self.tr("Original"), None, self.tr("Results are as large as their sources."))
            if model is not None and model.architecture.long_skip:
                self._add_size(
                    self.tr("Original, change at {0} px").format(model.size),
                    "change",
                    self.tr(
                        "The change is computed at the training size, enlarged and added to the full picture: results "
                        "are as large as their sources and keep their detail."
                    ),
                )
            self._add_size(
                self.tr("Training size") + pixels,
                "training",
                self.tr("Pictures are scaled down to what the model was trained on, and results are as small."),
            )
            self._add_size(
                self.tr("Longest side"),
                "longest",
                self.tr("Pictures are scaled down until their longest side has the number of pixels beside it."),
            )
        view = self._size.view()
        view.setMinimumWidth(view.sizeHintForColumn(0) + 2 * L)
        self._show_size(self._wished_size)
        if self._resize != before:
            self.choices_changed.emit()

    def _show_size(self, resize: Resize) -> None:
        with QSignalBlocker(self._size), QSignalBlocker(self._longest):
            if isinstance(resize, int):
                self._longest.setValue(resize)
            self._select(self._size, "longest" if isinstance(resize, int) else resize)
        self._longest.setVisible(isinstance(resize, int))
        self._size.setToolTip(self._size.currentData(Qt.ItemDataRole.ToolTipRole) or "")

    def _add_size(self, text: str, value: str | None, tip: str) -> None:
        self._size.addItem(text, value)
        self._size.setItemData(self._size.count() - 1, plain_tooltip(tip), Qt.ItemDataRole.ToolTipRole)

    def _select(self, box: NoWheelComboBox, value: object) -> None:
        """Choose a value that the box offers, else its first."""
        model = cast("QStandardItemModel", box.model())
        places = [place for place in range(box.count()) if box.itemData(place) == value]
        box.setCurrentIndex(places[0] if places and model.item(places[0]).isEnabled() else 0)

    def _size_changed(self) -> None:
        self._wished_size = self._resize
        self._longest.setVisible(self._size.currentData() == "longest")
        self._size.setToolTip(self._size.currentData(Qt.ItemDataRole.ToolTipRole) or "")
        self.choices_changed.emit()

    def _format_changed(self) -> None:
        self._more.set_format(cast("OutputFormat", self._format.currentData()))
        self._more_changed()

    def _more_changed(self) -> None:
        words = self._more.summary()
        text = "  \N{MIDDLE DOT}  ".join(words)
        self._summary.setText(text[:1].upper() + text[1:])
        self._summary.setVisible(bool(words))
        if not self._more.problem:
            self._more_error.hide()
        self.choices_changed.emit()

    def _swap_direction(self) -> None:
        chosen = "a2b" if self._directions["b2a"].isChecked() else "b2a"
        self.direction_picked.emit(chosen)


def _combo_box(name: str, tip: str) -> NoWheelComboBox:
    box = NoWheelComboBox()
    box.setObjectName(name)
    box.setToolTip(plain_tooltip(tip))
    return box


def _add_field(grid: QGridLayout, caption: str, *widgets: QWidget) -> None:
    """Put widgets in a row under a caption, whose mnemonic leads to the first, into the next column."""
    label = plain_label(caption, role="muted")
    label.setBuddy(widgets[0])
    row = QHBoxLayout()
    row.setSpacing(S)
    for widget in widgets:
        row.addWidget(widget, 1 if widget is widgets[0] else 0)
    column = grid.columnCount() if grid.count() else 0
    grid.addWidget(label, 0, column)
    grid.addLayout(row, 1, column)


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 3].rstrip() + "..."
