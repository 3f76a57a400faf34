"""Files dragged from a file manager."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

from engine.files import is_folder

if TYPE_CHECKING:
    from PySide6.QtCore import QMimeData
    from PySide6.QtGui import QDropEvent

_REFERENCE_SUFFIXES: Final = (".pth", ".pt")


def local_paths(mime: QMimeData) -> list[Path]:
    """The files and folders of a drag, in order; what is on the web or on another machine is left out."""
    if sys.platform in ("win32", "darwin"):
        return [Path(url.toLocalFile()) for url in mime.urls() if url.isLocalFile() and url.toLocalFile()]
    # A QUrl would drop bytes that are no UTF-8, which a name on Linux may hold.
    lines = bytes(mime.data("text/uri-list").data()).splitlines()
    return [path for line in lines if (path := _local_path(line)) is not None]


def reference_files(paths: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """Those that are weights of the reference by their names, to be imported before use; and the others."""
    weights: list[Path] = []
    others: list[Path] = []
    for path in paths:
        is_one = path.suffix.lower() in _REFERENCE_SUFFIXES and not is_folder(path)
        (weights if is_one else others).append(path)
    return weights, others


def accept_copy(event: QDropEvent) -> None:
    """Take what is dragged as a copy. Never as "move", which some file managers propose: they delete the files then."""
    from PySide6.QtCore import Qt

    event.setDropAction(Qt.DropAction.CopyAction)
    event.accept()


def _local_path(uri: bytes) -> Path | None:
    scheme, _, rest = uri.strip().partition(b":")
    if scheme.lower() != b"file":
        return None
    if rest.startswith(b"//"):
        import socket

        host, slash, rest = rest[2:].partition(b"/")
        if host.decode(errors="replace").lower() not in ("", "localhost", socket.gethostname().lower()):
            return None
        rest = slash + rest
    name = unquote_to_bytes(rest)
    return Path(os.fsdecode(name)) if name.startswith(b"/") and b"\0" not in name else None
