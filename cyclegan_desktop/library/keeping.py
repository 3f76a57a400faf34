"""The small dialogs with which trainings are named, cleaned up and put into the trash."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QCoreApplication, Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QDialog,
    QDialogButtonBox,
    QLineEdit,
    QMessageBox,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from cyclegan_desktop.library.entries import LibraryEntry
from cyclegan_desktop.plain_text import shown_text
from cyclegan_desktop.style import L, M, S
from cyclegan_desktop.widgets import dress_button, plain_label
from engine.training.upkeep import LONGEST_NAME, CleanKind
from engine.words import bytes_words

_SIZE = (460, 320)


class DescribeDialog(QDialog):
    """Asks what a training is called, and for a note about it.

    Signals:
        described: The name ("" for that of its domains) and the note.
    """

    described = Signal(str, str)

    def __init__(self, domains: str, name: str, note: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("describe_dialog")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(self.tr("Name and note"))
        name_label, note_label = plain_label(self.tr("&Name")), plain_label(self.tr("N&ote"))
        self._name = QLineEdit(name)
        self._name.setObjectName("describe_name")
        self._name.setMaxLength(LONGEST_NAME)
        self._name.setPlaceholderText(domains)
        self._note = QPlainTextEdit(note)
        self._note.setObjectName("describe_note")
        self._note.setTabChangesFocus(True)
        self._note.setPlaceholderText(self.tr("What you tried, and how it went"))
        for label, field in ((name_label, self._name), (note_label, self._note)):
            label.setBuddy(field)
            field.setAcceptDrops(False)
        buttons, save = _buttons(self, self.tr("&Save"))
        save.clicked.connect(self.accept)
        self.accepted.connect(lambda: self.described.emit(self._name.text(), self._note.toPlainText()))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(L, L, L, L)
        layout.setSpacing(S)
        layout.addWidget(name_label)
        layout.addWidget(self._name)
        layout.addWidget(plain_label(self.tr("Its folder on disk keeps its name."), role="muted"))
        layout.addWidget(note_label)
        layout.addWidget(self._note, 1)
        layout.addWidget(buttons)
        self.resize(*_SIZE)
        self._name.setFocus()


class CleanUpDialog(QDialog):
    """Asks what of a training may be deleted, and says how much room each part gives back.

    Signals:
        agreed: The kinds of files to delete, as a list of `CleanKind`.
    """

    agreed = Signal(list)

    def __init__(self, title: str, freeable: Mapping[CleanKind, int], parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("clean_up_dialog")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(self.tr("Clean up {training}").format(training=shown_text(title)))
        words: dict[CleanKind, str] = {
            "checkpoints": self.tr("Old checkpoints: all but the newest, with which it goes on"),
            "moments": self.tr("Models of moments without a star"),
            "samples": self.tr("Samples of moments without a star"),
        }
        layout = QVBoxLayout(self)
        layout.setContentsMargins(L, L, L, L)
        layout.setSpacing(M)
        layout.addWidget(plain_label(self.tr("Delete for good:"), role="heading"))
        self._boxes: dict[CleanKind, QCheckBox] = {}
        for kind, text in words.items():
            size = freeable.get(kind, 0)
            box = QCheckBox(f"{text}  ({bytes_words(size)})")
            box.setObjectName(f"clean_{kind}")
            box.setEnabled(size > 0)
            box.setChecked(kind == "checkpoints" and size > 0)
            box.toggled.connect(self._refresh)
            layout.addWidget(box)
            self._boxes[kind] = box
        layout.addWidget(
            plain_label(
                self.tr("The models, what is starred, and your pictures stay."),
                role="muted",
                wrap=True,
            )
        )
        buttons, self._delete = _buttons(self, self.tr("&Delete"))
        self._delete.clicked.connect(self.accept)
        layout.addWidget(buttons)
        self.accepted.connect(lambda: self.agreed.emit(self._kinds()))
        self._refresh()

    def _kinds(self) -> list[CleanKind]:
        return [kind for kind, box in self._boxes.items() if box.isChecked()]

    def _refresh(self) -> None:
        self._delete.setEnabled(bool(self._kinds()))


def trash_question(title: str, entry: LibraryEntry, parent: QWidget) -> QMessageBox:
    """Asks whether a training or model file is to go to the trash; `accepted` comes with a yes only."""
    dialog = QMessageBox(parent)
    dialog.setObjectName("trash_dialog")
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.setIcon(QMessageBox.Icon.Question)
    dialog.setTextFormat(Qt.TextFormat.PlainText)
    dialog.setWindowTitle(_tr("Move to the trash"))
    dialog.setText(_tr("Move {training} to the trash?").format(training=shown_text(title)))
    room = "" if entry.disk is None else _tr(" ({size})").format(size=bytes_words(entry.disk.total))
    dialog.setInformativeText(
        _tr("{path}{room} can be put back from there. The pictures it was trained on stay where they are.").format(
            path=shown_text(str(entry.path)), room=room
        )
    )
    move = dialog.addButton(_tr("&Move to the trash"), QMessageBox.ButtonRole.AcceptRole)
    move.setObjectName("trash_yes")
    dialog.setDefaultButton(dialog.addButton(QMessageBox.StandardButton.Cancel))
    return dialog


def _buttons(dialog: QDialog, text: str) -> tuple[QDialogButtonBox, QPushButton]:
    box = QDialogButtonBox()
    accept = box.addButton(text, QDialogButtonBox.ButtonRole.ActionRole)
    accept.setObjectName("dialog_accept")
    dress_button(accept, primary=True)
    accept.setDefault(True)
    box.addButton(QDialogButtonBox.StandardButton.Cancel).clicked.connect(dialog.reject)
    return box, accept


def _tr(text: str) -> str:
    return QCoreApplication.translate("TrashQuestion", text)
