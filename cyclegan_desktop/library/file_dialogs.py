"""Dialogs that ask for files; none of them blocks, and each answers by its signals."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog, QWidget


def choose_reference_files(parent: QWidget) -> QFileDialog:
    """Open a dialog for one or several .pth files, which tells them by `filesSelected`."""
    dialog = QFileDialog(parent, parent.tr("Import a model of the reference"))
    dialog.setObjectName("import_files_dialog")
    dialog.setFileMode(QFileDialog.FileMode.ExistingFiles)
    dialog.setNameFilter(parent.tr("Weights of the reference (*.pth *.pt)"))
    return open_dialog(dialog)


def choose_new_file(dialog: QFileDialog, name: str, kinds: str, suffix: str) -> QFileDialog:
    """Open the dialog for a file that is to be written, which it tells by `fileSelected`.

    Args:
        dialog: One without settings.
        name: The name proposed.
        kinds: The name filter, such as "Models (*.safetensors)".
        suffix: What a name without a suffix gets, such as "safetensors".
    """
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    # Nothing is ever overwritten, so there is nothing to confirm: whoever writes the file says so.
    dialog.setOption(QFileDialog.Option.DontConfirmOverwrite)
    dialog.setNameFilter(kinds)
    dialog.setDefaultSuffix(suffix)
    dialog.selectFile(name)
    return open_dialog(dialog)


def open_dialog(dialog: QFileDialog) -> QFileDialog:
    """Open a dialog that deletes itself afterwards."""
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.open()
    return dialog
