from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine.errors import ModelFileError
from engine.tensor_file import read_metadata, read_tensors, write_tensors

TENSORS = {
    "w": torch.arange(6.0).view(2, 3).t(),
    "half": torch.ones(3, dtype=torch.bfloat16),
    "step": torch.tensor(7.0),
    "empty": torch.empty(0, 3),
}


def test_tensors_and_metadata_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    write_tensors(path, TENSORS, {"story": "once \N{SNOWMAN}"})
    tensors, metadata = read_tensors(path)
    assert metadata == {"story": "once \N{SNOWMAN}"}
    assert tensors.keys() == TENSORS.keys()
    for name, value in TENSORS.items():
        assert tensors[name].dtype == value.dtype and torch.equal(tensors[name], value)
    assert read_metadata(path)["story"] == "once \N{SNOWMAN}"


def test_any_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    write_tensors(path, TENSORS, {"story": "once"})
    whole = path.read_bytes()
    for place in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            tensors, metadata = read_tensors(path)
        except ModelFileError as error:
            assert str(path) in str(error)
        else:  # A bit of padding, or of white space, that means nothing.
            assert metadata == {"story": "once"}
            assert all(torch.equal(tensors[name], value) for name, value in TENSORS.items())


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04" * 20, b"\xff" * 64, b"\x02\0\0\0\0\0\0\0[]", b"\x80\x04cos\n."])
def test_other_files_are_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.safetensors"
    path.write_bytes(content)
    for read in (read_metadata, read_tensors):
        with pytest.raises(ModelFileError, match=r"other\.safetensors"):
            read(path)


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    write_tensors(path, TENSORS, {})
    path.write_bytes(path.read_bytes()[:-3])
    for read in (read_metadata, read_tensors):
        with pytest.raises(ModelFileError, match="damaged"):
            read(path)


def test_a_file_that_can_be_imported_says_so(tmp_path: Path) -> None:
    (tmp_path / "latest_net_G.pth").write_bytes(b"PK")
    with pytest.raises(ModelFileError, match="Import it first"):
        read_metadata(tmp_path / "latest_net_G.pth")
