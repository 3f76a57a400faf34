from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QUrl

from cyclegan_desktop.drops import local_paths, reference_files


def test_files_come_in_order_and_the_web_is_left_out(tmp_path):
    mime = QMimeData()
    names = ["b b.png", "a#1?.png", "100%.png", "Äpfel.png"]
    urls = [QUrl.fromLocalFile(str(tmp_path / name)) for name in names]
    mime.setUrls([urls[0], QUrl("https://example.org/x.png"), *urls[1:]])
    assert local_paths(mime) == [tmp_path / name for name in names]


def test_text_is_no_file():
    mime = QMimeData()
    mime.setText("file:///etc/passwd")
    assert local_paths(mime) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only there names are bytes")
def test_a_name_that_is_no_valid_text_is_kept():
    mime = QMimeData()
    mime.setData("text/uri-list", b"# a comment\r\nfile:///tmp/caf%E9.png\r\nfile://localhost/tmp/b.png\r\n")
    assert local_paths(mime) == [Path(os.fsdecode(b"/tmp/caf\xe9.png")), Path("/tmp/b.png")]


@pytest.mark.skipif(sys.platform != "linux", reason="on Windows such a path is a local one")
def test_a_file_of_another_machine_is_left_out():
    mime = QMimeData()
    mime.setData("text/uri-list", b"file://server/share/a.png\r\nfile:relative.png\r\nfile:///tmp/nul%00.png\r\n")
    assert local_paths(mime) == []


def test_weights_of_the_reference_are_told_from_everything_else_by_their_names(tmp_path):
    folder = tmp_path / "folder.pth"
    folder.mkdir()
    weights = [tmp_path / "latest_net_G_A.pth", tmp_path / "OLD.PT"]
    others = [tmp_path / "a.png", folder, tmp_path / "model.safetensors", tmp_path / "pth"]
    assert reference_files([others[0], weights[0], *others[1:], weights[1]]) == (weights, others)
