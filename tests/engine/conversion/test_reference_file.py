"""The reference's files are recognised by what they hold, and files that are none of them get a sentence."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.conversion import reference_file
from engine.conversion.model_file import Discriminators
from engine.conversion.reference_file import ReferenceModel, read_reference_files
from engine.errors import ModelFileError
from engine.model.architecture import Architecture

from .reference_weights import patch, pixel, resnet, unet

Save = Callable[..., Path]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Writes a file with torch.save."""

    def write(name: str, content: object, **options: Any) -> Path:
        path = tmp_path / name
        torch.save(content, path, **options)
        return path

    return write


def weights_of(model: ReferenceModel, name: str) -> dict[str, Tensor]:
    return {key.removeprefix(f"{name}."): value for key, value in model.tensors.items() if key.startswith(f"{name}.")}


def assert_equal(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


# Recognising


@pytest.mark.parametrize(
    ("weights", "architecture"),
    [
        (lambda: resnet(blocks=9), Architecture(blocks=9, channels=4)),
        (lambda: resnet(blocks=6, c=3), Architecture(blocks=6, channels=3)),
        (lambda: resnet(blocks=1), Architecture(blocks=1, channels=4)),
        (lambda: resnet(dropout=True), Architecture(blocks=2, channels=4, dropout=True)),
        (lambda: resnet(norm="batch"), Architecture(blocks=2, channels=4, norm="batch")),
        (
            lambda: resnet(norm="batch", dropout=True),
            Architecture(blocks=2, channels=4, norm="batch", dropout=True),
        ),
        (lambda: resnet(norm="none"), Architecture(blocks=2, channels=4, norm="none")),
        (lambda: resnet(in_c=1), Architecture(blocks=2, channels=4, grey_A=True)),
        (lambda: resnet(out_c=1), Architecture(blocks=2, channels=4, grey_B=True)),
        (lambda: resnet(in_c=1, out_c=1), Architecture(blocks=2, channels=4, grey_A=True, grey_B=True)),
        (unet, Architecture(generator="unet", halvings=5, channels=2)),
        (lambda: unet(halvings=7), Architecture(generator="unet", halvings=7, channels=2)),
        (lambda: unet(halvings=8, norm="batch"), Architecture(generator="unet", halvings=8, channels=2, norm="batch")),
        (
            lambda: unet(norm="none", in_c=1),
            Architecture(generator="unet", halvings=5, channels=2, norm="none", grey_A=True),
        ),
    ],
)
def test_generators_are_recognised_by_keys_and_shapes(
    save: Save, weights: Callable[[], dict[str, Tensor]], architecture: Architecture
) -> None:
    theirs = weights()
    model = read_reference_files([save("latest_net_G.pth", theirs)])
    assert model.architecture == architecture
    assert model.directions == ("a2b",)
    assert not model.has_discriminators
    assert_equal(weights_of(model, "G_AB"), theirs)


@pytest.mark.parametrize(
    ("weights", "discriminators"),
    [
        (patch, Discriminators(kind="patch", layers=3, channels=4)),
        (lambda: patch(layers=1, c=6), Discriminators(kind="patch", layers=1, channels=6)),
        (lambda: patch(layers=5), Discriminators(kind="patch", layers=5, channels=4)),
        (lambda: pixel(c=8), Discriminators(kind="pixel", channels=8)),
    ],
)
def test_discriminators_are_recognised_too(
    save: Save, weights: Callable[[], dict[str, Tensor]], discriminators: Discriminators
) -> None:
    theirs = weights()
    model = read_reference_files([save("5_net_D_A.pth", theirs), save("5_net_G_A.pth", resnet())])
    assert model.discriminators == discriminators
    assert_equal(weights_of(model, "D_B"), theirs)


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_discriminators_of_other_norms_are_recognised(save: Save, norm: str) -> None:
    for number, discriminator in enumerate((patch(norm=norm), pixel(norm=norm))):
        files = save(f"{number}_net_D_B.pth", discriminator), save(f"{number}_net_G_A.pth", resnet(norm=norm))
        model = read_reference_files(files)
        assert_equal(weights_of(model, "D_A"), discriminator)


def test_each_file_becomes_the_network_that_its_name_says(save: Save) -> None:
    """The reference's G_A translates from A to B, and its D_A judges what G_A makes: pictures of B."""
    theirs = {"G_A": resnet(in_c=1), "G_B": resnet(out_c=1), "D_A": patch(), "D_B": patch(in_c=1)}
    files = {name: save(f"latest_net_{name}.pth", weights) for name, weights in theirs.items()}
    model = read_reference_files(list(files.values())[::-1])
    assert model.architecture.grey_A and not model.architecture.grey_B
    assert model.directions == ("a2b", "b2a")
    for ours, name in {"G_AB": "G_A", "G_BA": "G_B", "D_B": "D_A", "D_A": "D_B"}.items():
        assert_equal(weights_of(model, ours), theirs[name])
        assert (files[name], ours) in model.files


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["200_net_G_B.pth"], ["G_BA"]),
        (["iter_5000_net_G_A.pth"], ["G_AB"]),
        (["Latest_Net_G_A (1).pth"], ["G_AB"]),
        (["latest_net_G.pth"], ["G_AB"]),
        (["horse2zebra.pth"], ["G_AB"]),
        (["one.pth", "two.pth"], ["G_AB", "G_BA"]),
        (["one.pth", "latest_net_G_A.pth"], ["G_BA", "G_AB"]),
        (["latest_net_G_B.pth", "other.pth"], ["G_BA", "G_AB"]),
    ],
)
def test_names_without_a_hint_are_a_to_b_first(save: Save, names: list[str], expected: list[str]) -> None:
    model = read_reference_files([save(name, resnet()) for name in names])
    found = {path.name: network for path, network in model.files}
    assert [found[name] for name in names] == expected


# What files may also be like


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_prefixes_of_parallel_and_compiled_networks_are_dropped(save: Save, prefix: str) -> None:
    theirs = resnet()
    model = read_reference_files([save("G.pth", {prefix + key: value for key, value in theirs.items()})])
    assert_equal(weights_of(model, "G_AB"), theirs)


@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_weights_may_lie_one_level_deeper(save: Save, key: str) -> None:
    theirs = resnet()
    model = read_reference_files([save("G.pth", {"epoch": 5, key: theirs})])
    assert_equal(weights_of(model, "G_AB"), theirs)


def test_running_statistics_of_instance_norms_are_dropped(save: Save) -> None:
    theirs = resnet()
    old = dict(theirs)
    for layer, channels in (("model.2", 4), ("model.10.conv_block.2", 16), ("model.13", 8)):
        old[f"{layer}.running_mean"] = torch.full((channels,), float("nan"))
        old[f"{layer}.running_var"] = torch.ones(channels)
        old[f"{layer}.num_batches_tracked"] = torch.tensor(3)
    model = read_reference_files([save("G.pth", old)])
    assert model.architecture.norm == "instance"
    assert_equal(weights_of(model, "G_AB"), theirs)


def test_batch_norms_that_count_no_batches_are_complete(save: Save) -> None:
    theirs = resnet(norm="batch")
    old = {key: value for key, value in theirs.items() if "num_batches" not in key}
    ours = weights_of(read_reference_files([save("G.pth", old)]), "G_AB")
    assert ours.keys() == theirs.keys()
    assert ours["model.2.num_batches_tracked"] == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_other_precisions_become_fp32(save: Save, dtype: torch.dtype) -> None:
    theirs = resnet()
    model = read_reference_files([save("G.pth", {key: value.to(dtype) for key, value in theirs.items()})])
    for key, value in weights_of(model, "G_AB").items():
        assert value.dtype == torch.float32
        assert torch.equal(value, theirs[key].to(dtype).float())


def test_files_of_old_versions_of_torch_are_read(save: Save) -> None:
    theirs = resnet()
    model = read_reference_files([save("G.pth", theirs, _use_new_zipfile_serialization=False)])
    assert_equal(weights_of(model, "G_AB"), theirs)


# What cannot be used


def refused(*files: Path) -> str:
    with pytest.raises(ModelFileError) as caught:
        read_reference_files(files)
    return str(caught.value)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_file_cut_short_is_a_sentence(save: Save, zipped: bool, share: float) -> None:
    path = save("latest_net_G_A.pth", resnet(), _use_new_zipfile_serialization=zipped)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert f"{path} is damaged, cut short or no PyTorch file" in refused(path)


@pytest.mark.parametrize("content", [b"text", b"PK\x03\x04" * 30, b"\x89PNG\r\n\x1a\n" * 5, pickle.dumps([1, 2])])
def test_other_files_are_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.pth"
    path.write_bytes(content)
    assert str(path) in refused(path)


def test_no_files_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    assert "at least one file" in refused()
    assert f"There is no file {tmp_path / 'gone.pth'}" in refused(tmp_path / "gone.pth")
    assert str(tmp_path) in refused(tmp_path)


class _Code:
    """Makes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self._target = target

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self._target), "w")


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_is_never_run(save: Save, tmp_path: Path, zipped: bool) -> None:
    path = save("evil.pth", {**resnet(), "x": _Code(tmp_path / "ran")}, _use_new_zipfile_serialization=zipped)
    sentence = refused(path)
    assert f"{path} holds Python code" in sentence and "state_dict()" in sentence
    assert not (tmp_path / "ran").exists()


def test_a_whole_network_instead_of_its_weights_is_told_the_remedy(save: Save) -> None:
    assert "torch.save(network.state_dict()" in refused(save("network.pth", torch.nn.Conv2d(1, 1, 1)))


def test_files_that_are_or_unpack_to_too_much_are_not_read(
    save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference_file, "MOST_BYTES", 100_000)
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was read"))
    assert "is too large" in refused(save("large.pth", torch.zeros(30_000)))
    bomb = tmp_path / "bomb.pth"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes(1_000_000))
    assert bomb.stat().st_size < 10_000
    assert "is too large" in refused(bomb)


def test_many_tensors_on_the_same_bytes_are_refused_before_any_is_copied(
    save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = torch.zeros(10_000)
    path = save("G.pth", {f"model.{number}.weight": shared for number in range(30)})
    assert path.stat().st_size < 100_000
    monkeypatch.setattr(reference_file, "MOST_BYTES", 1_000_000)
    monkeypatch.setattr(Tensor, "clone", lambda *_, **__: pytest.fail("it was copied"))
    assert "is too large" in refused(path)


def test_a_name_that_no_disk_allows_is_called_too_long(tmp_path: Path) -> None:
    assert "too long" in refused(tmp_path / f"{300 * 'a'}.pth")


def test_a_few_bytes_that_pretend_to_be_many_are_refused(save: Save) -> None:
    weights = resnet()
    weights["model.4.weight"] = torch.zeros(1).expand(8, 4, 3, 3)
    assert "no plain list of numbers (model.4.weight)" in refused(save("G.pth", weights))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(save: Save, value: float) -> None:
    weights = resnet()
    weights["model.4.weight"][0, 0, 0, 0] = value
    assert "not finite (model.4.weight)" in refused(save("G.pth", weights))


def test_numbers_too_large_for_fp32_are_refused(save: Save) -> None:
    weights = {key: value.double() for key, value in resnet().items()}
    weights["model.1.bias"][0] = 1e300
    assert "not finite" in refused(save("G.pth", weights))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ([1, 2], "holds no weights"),
        ({}, "holds no weights"),
        ({"a": 5}, "more than the weights"),
        ({"optimizer": {"lr": 1.0}, "net": {"w": torch.zeros(1)}}, "more than the weights"),
        ({"conv1.weight": torch.zeros(2, 2, 1, 1)}, "none of the reference's"),
        ({"conv1.running_mean": torch.zeros(2)}, "none of the reference's"),
        ({"model.1.weight": torch.zeros(4, 3, 7, 7)}, "resembles"),
        ({"model.model.0.weight": torch.zeros(4, 3, 4, 4)}, "resembles"),
        ({"model.0.weight": torch.zeros(4, 3, 4, 4)}, "resembles"),
        ({"net.0.weight": torch.zeros(4, 3, 1, 1)}, "resembles"),
        ({"model.0.weight": torch.zeros(4, 3, 4, 4), "model.x.weight": torch.zeros(1)}, "resembles"),
    ],
)
def test_foreign_contents_are_a_sentence(save: Save, content: object, sentence: str) -> None:
    path = save("foreign.pth", content)
    complaint = refused(path)
    assert str(path) in complaint and sentence in complaint


@pytest.mark.parametrize("change", ["missing", "more", "shape", "affine"])
def test_networks_that_only_resemble_the_references_are_refused(save: Save, change: str) -> None:
    weights = resnet()
    if change == "missing":
        del weights["model.10.conv_block.5.weight"]
    elif change == "more":
        weights["model.99.weight"] = torch.zeros(3)
    elif change == "shape":
        weights["model.4.weight"] = torch.zeros(8, 4, 5, 5)
    else:
        weights["model.2.weight"] = torch.ones(4)
    assert "resembles a network of the reference" in refused(save("G.pth", weights))


@pytest.mark.parametrize(("in_c", "out_c"), [(4, 3), (3, 2), (6, 6)])
def test_other_numbers_of_channels_are_refused(save: Save, in_c: int, out_c: int) -> None:
    for weights in (resnet(in_c=in_c, out_c=out_c), unet(in_c=in_c, out_c=out_c)):
        assert f"{in_c} channels in and {out_c} out" in refused(save("latest_net_G.pth", weights))


# What does not belong together


def test_two_kinds_of_generators_are_refused(save: Save) -> None:
    first = save("latest_net_G_A.pth", resnet(blocks=2))
    for second in (resnet(blocks=3), resnet(c=5), resnet(dropout=True), resnet(norm="none"), resnet(in_c=1), unet()):
        complaint = refused(first, save("latest_net_G_B.pth", second))
        assert "The two generators differ" in complaint and "latest_net_G_B.pth (" in complaint


def test_discriminators_alone_are_not_a_model(save: Save) -> None:
    assert "holds no generator" in refused(save("latest_net_D_A.pth", patch()))


def test_the_discriminator_of_pix2pix_is_named(save: Save) -> None:
    path = save("latest_net_D.pth", patch(in_c=6))
    assert "judges pairs of pictures" in refused(save("latest_net_G.pth", resnet()), path)


def test_a_discriminator_needs_a_name_that_says_of_which_side(save: Save) -> None:
    assert "_net_D_A.pth or _net_D_B.pth" in refused(save("G.pth", resnet()), save("D.pth", patch()))


@pytest.mark.parametrize(
    "discriminators",
    [
        {"D_A": lambda: patch(in_c=1)},
        {"D_A": lambda: patch(norm="batch")},
        {"D_A": lambda: patch(layers=2), "D_B": lambda: patch(layers=3)},
        {"D_A": pixel, "D_B": patch},
    ],
)
def test_discriminators_that_do_not_fit_are_to_be_left_out(
    save: Save, discriminators: dict[str, Callable[[], dict[str, Tensor]]]
) -> None:
    files = [save(f"latest_net_{name}.pth", weights()) for name, weights in discriminators.items()]
    assert "Leave " in refused(save("latest_net_G_A.pth", resnet()), *files)


def test_one_network_twice_and_wrong_names_are_refused(save: Save) -> None:
    one, other = save("1_net_G_A.pth", resnet()), save("2_net_G_A.pth", resnet())
    assert "both hold the generator G_A" in refused(one, other)
    assert "both hold the generator" in refused(*(save(f"{name}.pth", resnet()) for name in "xyz"))
    assert "holds a discriminator" in refused(save("latest_net_G_B.pth", patch()))
    assert "holds a generator" in refused(save("latest_net_D_B.pth", resnet()))


def test_a_model_of_ours_and_a_folder_are_told_apart_from_damage(tmp_path: Path) -> None:
    (tmp_path / "ours.safetensors").write_bytes(b"x")
    with pytest.raises(ModelFileError, match="needs no import"):
        read_reference_files([tmp_path / "ours.safetensors"])
    (tmp_path / "folder.pth").mkdir()
    with pytest.raises(ModelFileError, match="is a folder"):
        read_reference_files([tmp_path / "folder.pth"])


def test_a_missing_tensor_is_called_missing(tmp_path: Path) -> None:
    weights = resnet()
    del weights["model.10.conv_block.1.weight"]
    torch.save(weights, tmp_path / "latest_net_G_A.pth")
    with pytest.raises(ModelFileError, match=r"model\.10\.conv_block\.1\.weight is missing"):
        read_reference_files([tmp_path / "latest_net_G_A.pth"])
