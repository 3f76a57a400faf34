"""Models come from the reference and go to it, to ONNX and to a card, and nothing is overwritten on the way."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from engine import train
from engine.__main__ import main
from engine.config import TrainConfig
from engine.conversion import exchange
from engine.conversion.exchange import export_card, export_onnx, export_pth, import_model, read_reference_files
from engine.conversion.model_file import (
    Discriminators,
    load_generator,
    load_networks,
    read_model_info,
    write_model,
)
from engine.errors import ConfigError, ModelFileError, RunError
from engine.model.architecture import Architecture
from engine.model.discriminator import PatchDiscriminator
from engine.model.generator import make_generator

from .reference_weights import patch, pixel, resnet, unet

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def reference(tmp_path: Path) -> dict[str, Path]:
    """The four files of a training of the reference."""
    weights = {"G_A": resnet(), "G_B": resnet(), "D_A": patch(layers=2, c=5), "D_B": patch(layers=2, c=5)}
    files = {name: tmp_path / f"latest_net_{name}.pth" for name in weights}
    for name, path in files.items():
        torch.save(weights[name], path)
    return files


@pytest.fixture
def make_model(tmp_path: Path, tiny_config: Callable[..., TrainConfig]) -> Callable[..., Path]:
    """Writes a model file of tiny generators."""

    def make(name: str = "pears.safetensors", *, steps: int = 7, **values: object) -> Path:
        config = tiny_config(**values)
        generators = {direction: make_generator(config.architecture, direction) for direction in ("a2b", "b2a")}
        write_model(tmp_path / name, generators, config, steps=steps, licence="CC0", note="A note.")
        return tmp_path / name

    return make


def loaded(path: Path) -> dict[str, Tensor]:
    weights = torch.load(path, weights_only=True)
    assert isinstance(weights, dict)
    return weights


def as_bytes(weights: dict[str, Tensor]) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    return {key: (str(value.dtype), tuple(value.shape), value.numpy().tobytes()) for key, value in weights.items()}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# Import


def test_an_imported_model_tells_its_story_and_converts(reference: dict[str, Path], tmp_path: Path) -> None:
    to = tmp_path / "new" / "horses.safetensors"
    files = [reference["G_A"], reference["G_B"]]
    info = import_model(files, names=("Horses", "Zebras"), to=to, size=64)
    assert info == read_model_info(to)
    assert (info.path, info.name_A, info.name_B, info.size) == (to, "Horses", "Zebras", 64)
    assert info.architecture == Architecture(blocks=2, channels=4)
    assert (info.preset, info.steps, info.directions) == ("reference", 0, ("a2b", "b2a"))
    assert not info.has_discriminators
    assert info.note == "Imported from latest_net_G_A.pth and latest_net_G_B.pth."
    for direction, name in (("a2b", "G_A"), ("b2a", "G_B")):
        generator, _ = load_generator(to, direction, CPU)
        assert as_bytes(dict(generator.state_dict())) == as_bytes(loaded(reference[name]))


def test_discriminators_come_along_under_our_names(reference: dict[str, Path], tmp_path: Path) -> None:
    info = import_model(list(reference.values()), names=("A", "B"), to=tmp_path / "m.safetensors")
    assert info.discriminators == Discriminators(kind="patch", layers=2, channels=5)
    tensors, told = load_networks(info.path)
    assert told == info
    for ours, theirs in {"G_AB": "G_A", "G_BA": "G_B", "D_A": "D_B", "D_B": "D_A"}.items():
        found = {key.removeprefix(f"{ours}."): t for key, t in tensors.items() if key.startswith(f"{ours}.")}
        assert as_bytes(found) == as_bytes(loaded(reference[theirs]))


def test_an_imported_training_goes_on_with_its_own_discriminators(
    reference: dict[str, Path], tmp_path: Path, tiny_config: Callable[..., TrainConfig]
) -> None:
    info = import_model(list(reference.values()), names=("Pears", "Plums"), to=tmp_path / "pears.safetensors", size=32)
    list(train(tiny_config(**info.settings, start_from=info.path, learning_rate=1e-9, max_steps=1)))
    trained, _ = load_networks(tmp_path / "run")
    imported, _ = load_networks(info.path)
    assert trained.keys() == imported.keys()
    for name, tensor in imported.items():
        torch.testing.assert_close(trained[name], tensor, rtol=0, atol=1e-6)


def test_one_direction_alone_is_a_model(reference: dict[str, Path], tmp_path: Path) -> None:
    info = import_model([reference["G_B"]], names=("Horses", "Zebras"), to=tmp_path / "m.safetensors")
    assert info.directions == ("b2a",)
    load_generator(info.path, "b2a", CPU)
    with pytest.raises(ModelFileError, match=r"cannot convert Horses to Zebras.*Zebras to Horses \(b2a\)"):
        load_generator(info.path, "a2b", CPU)


def test_what_would_be_imported_is_known_before(reference: dict[str, Path]) -> None:
    found = read_reference_files(list(reference.values()))
    assert found.has_discriminators
    assert (reference["D_B"], "D_A") in found.files


def test_an_existing_file_is_never_overwritten(reference: dict[str, Path], tmp_path: Path) -> None:
    to = tmp_path / "precious.safetensors"
    to.write_bytes(b"precious")
    with pytest.raises(ModelFileError, match=r"precious\.safetensors exists already; choose another name"):
        import_model([reference["G_A"]], names=("A", "B"), to=to)
    assert to.read_bytes() == b"precious"
    with pytest.raises(ModelFileError, match=r"does not end in \.safetensors"):
        import_model([reference["G_A"]], names=("A", "B"), to=tmp_path / "model.pth")


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"names": ("", "B")}, "name_A"),
        ({"names": ("A", "a ")}, "name_B"),
        ({"size": 30}, "size"),
        ({"size": 66}, "size"),
    ],
)
def test_names_and_sizes_that_make_no_sense_are_named(
    reference: dict[str, Path], tmp_path: Path, values: dict[str, object], field: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        import_model([reference["G_A"]], **{"names": ("A", "B"), "to": tmp_path / "m.safetensors", **values})
    assert caught.value.field == field
    assert not (tmp_path / "m.safetensors").exists()


def test_the_size_of_a_u_net_must_fit_its_halvings(tmp_path: Path) -> None:
    torch.save(unet(halvings=6), tmp_path / "G.pth")
    with pytest.raises(ConfigError, match="no multiple of 64"):
        import_model([tmp_path / "G.pth"], names=("A", "B"), to=tmp_path / "m.safetensors", size=96)
    assert import_model([tmp_path / "G.pth"], names=("A", "B"), to=tmp_path / "m.safetensors").size == 256


# Back to the reference


@pytest.mark.parametrize(
    "make",
    [
        lambda: {"G_A": resnet(), "G_B": resnet(), "D_A": patch(), "D_B": patch()},
        lambda: {"G_A": resnet(in_c=1, dropout=True), "G_B": resnet(out_c=1, dropout=True), "D_B": patch(in_c=1)},
        lambda: {"G_B": unet(norm="batch"), "D_A": pixel(norm="batch")},
        lambda: {"G_A": resnet(norm="none")},
    ],
)
def test_there_and_back_again_every_byte_of_the_weights_is_the_same(
    tmp_path: Path, make: Callable[[], dict[str, dict[str, Tensor]]]
) -> None:
    before = make()
    files = [tmp_path / f"latest_net_{name}.pth" for name in before]
    for path, weights in zip(files, before.values(), strict=True):
        torch.save(weights, path)
    import_model(files, names=("A", "B"), to=tmp_path / "m.safetensors")
    written = export_pth(tmp_path / "m.safetensors", tmp_path / "out")
    assert names(tmp_path / "out") == sorted(path.name for path in files)
    assert sorted(path.name for path in written) == names(tmp_path / "out")
    for name, weights in before.items():
        assert as_bytes(loaded(tmp_path / "out" / f"latest_net_{name}.pth")) == as_bytes(weights)


@pytest.mark.parametrize(
    "values", [{"blocks": 2}, {"generator": "unet", "norm": "batch", "halvings": 5, "channels": 2}]
)
def test_keys_of_a_pth_file_are_in_the_order_of_the_network(
    make_model: Callable[..., Path], tmp_path: Path, values: dict[str, object]
) -> None:
    model = make_model(**values)
    written = export_pth(model, tmp_path / "out")
    for path, direction in zip(written, ("a2b", "b2a"), strict=True):
        assert list(loaded(path)) == list(load_generator(model, direction, CPU)[0].state_dict())


def test_keys_of_discriminators_are_in_order_too(reference: dict[str, Path], tmp_path: Path) -> None:
    import_model(list(reference.values()), names=("A", "B"), to=tmp_path / "m.safetensors")
    export_pth(tmp_path / "m.safetensors", tmp_path / "out")
    expected = list(PatchDiscriminator(5, layers=2).state_dict())
    assert list(loaded(tmp_path / "out" / "latest_net_D_A.pth")) == expected


def test_a_pth_file_holds_its_own_network_and_no_more(make_model: Callable[..., Path], tmp_path: Path) -> None:
    for path in export_pth(make_model(), tmp_path / "out"):
        weights = sum(value.numel() * 4 for value in loaded(path).values())
        assert path.stat().st_size < weights + 20_000


def test_no_pth_file_is_overwritten_and_then_none_is_written(make_model: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "latest_net_G_B.pth").write_bytes(b"precious")
    with pytest.raises(ModelFileError, match=r"latest_net_G_B\.pth exists already"):
        export_pth(make_model(), tmp_path / "out")
    assert names(tmp_path / "out") == ["latest_net_G_B.pth"]
    assert (tmp_path / "out" / "latest_net_G_B.pth").read_bytes() == b"precious"


@pytest.mark.parametrize("kind", ["pth", "onnx"])
def test_a_name_taken_in_the_meantime_is_told_as_what_was_written(
    make_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    if kind == "onnx":
        pytest.importorskip("onnx")
    export = export_pth if kind == "pth" else export_onnx
    require_free = exchange._require_free

    def taken_afterwards(*targets: Path) -> None:
        require_free(*targets)
        targets[0].parent.mkdir()
        targets[0].write_bytes(b"precious")

    monkeypatch.setattr(exchange, "_require_free", taken_afterwards)
    written = export(make_model(), tmp_path / "out")
    assert written[0].stem.endswith(" (1)")
    assert sorted(written) == sorted(path for path in (tmp_path / "out").iterdir() if path.read_bytes() != b"precious")


@pytest.mark.parametrize(("option", "words"), [("long_skip", "long skip"), ("resize_conv", "resize-convolution")])
def test_what_the_reference_does_not_have_is_refused(
    make_model: Callable[..., Path], tmp_path: Path, option: str, words: str
) -> None:
    with pytest.raises(ModelFileError, match=f"{words}.*The reference has no such thing") as caught:
        export_pth(make_model(**{option: True}), tmp_path / "out")
    # A window has no flags.
    assert "--" not in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="permissions do not bind this user")
def test_a_folder_that_cannot_be_written_is_a_sentence(make_model: Callable[..., Path], tmp_path: Path) -> None:
    model = make_model()
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(ModelFileError, match="no permission"):
        export_pth(model, tmp_path / "locked")


def test_a_target_that_no_disk_allows_is_a_sentence(
    make_model: Callable[..., Path], reference: dict[str, Path], tmp_path: Path
) -> None:
    model, long = make_model(), 300 * "a"
    exports: list[Callable[[], object]] = [
        lambda: export_pth(model, tmp_path / long),
        lambda: export_card(model, tmp_path / f"{long}.json"),
        lambda: export_card(model, tmp_path / long / "card.json"),
        lambda: import_model([reference["G_A"]], names=("A", "B"), to=tmp_path / f"{long}.safetensors"),
    ]
    before = names(tmp_path)
    for export in exports:
        with pytest.raises(ModelFileError, match="too long"):
            export()
    assert names(tmp_path) == before


@pytest.mark.parametrize("name", [300 * "a", f"{300 * 'a'}.onnx"])
def test_an_onnx_file_that_no_disk_allows_is_a_sentence(
    make_model: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    pytest.importorskip("onnx")
    with pytest.raises(ModelFileError, match="too long"):
        export_onnx(make_model(), tmp_path / name)


def test_a_file_in_place_of_the_folder_is_a_sentence(make_model: Callable[..., Path], tmp_path: Path) -> None:
    model = make_model()
    for export in (export_pth, lambda m, to: export_card(m, to / "card.json")):
        with pytest.raises(ModelFileError, match=r"pears\.safetensors"):
            export(model, model)


# The folder of a training


@pytest.fixture
def run(tiny_config: Callable[..., TrainConfig]) -> Callable[..., Path]:
    """Trains for two steps."""

    def make(**values: object) -> Path:
        config = tiny_config(max_steps=2, **values)
        assert list(train(config))
        return config.run

    return make


def test_of_a_training_the_discriminators_are_exported_too(run: Callable[..., Path], tmp_path: Path) -> None:
    folder = run(discriminator_layers=1)
    written = export_pth(folder, tmp_path / "out")
    assert len(written) == 4
    again = import_model(written, names=("A", "B"), to=tmp_path / "again.safetensors", size=32)
    assert again.discriminators == Discriminators(kind="patch", layers=1, channels=4)
    before, info = load_networks(folder)
    after, _ = load_networks(again.path)
    assert info.discriminators == again.discriminators
    assert as_bytes(after) == as_bytes(before)
    assert len(export_pth(folder / "model.safetensors", tmp_path / "alone")) == 2


def test_a_damaged_checkpoint_is_passed_over(run: Callable[..., Path]) -> None:
    folder = run()
    oldest, *newer = sorted((folder / "checkpoints").iterdir())
    for path in newer:
        path.write_bytes(path.read_bytes()[:1000])
    tensors, info = load_networks(folder)
    assert info.has_discriminators and "D_A.model.0.weight" in tensors
    oldest.unlink()
    tensors, info = load_networks(folder)
    assert not info.has_discriminators and "D_A.model.0.weight" not in tensors


def test_discriminators_with_spectral_norm_are_refused_with_the_way_around(
    run: Callable[..., Path], tmp_path: Path
) -> None:
    folder = run(spectral_norm=True)
    with pytest.raises(ModelFileError, match=r"spectral norm.*The reference has no such thing") as caught:
        export_pth(folder, tmp_path / "out")
    assert str(folder / "model.safetensors") in str(caught.value)
    assert len(export_pth(folder / "model.safetensors", tmp_path / "out")) == 2


# ONNX


@pytest.fixture
def _needs_onnx() -> None:
    pytest.importorskip("onnx")


@pytest.mark.usefixtures("_needs_onnx")
def test_each_direction_becomes_an_onnx_file(
    make_model: Callable[..., Path], reference: dict[str, Path], tmp_path: Path
) -> None:
    model = make_model()
    for target, files in (
        (tmp_path / "x.onnx", [tmp_path / "x_a2b.onnx", tmp_path / "x_b2a.onnx"]),
        (tmp_path / "out", [tmp_path / "out" / "pears_a2b.onnx", tmp_path / "out" / "pears_b2a.onnx"]),
    ):
        assert list(export_onnx(model, target)) == files
        assert all(file.stat().st_size > 1000 for file in files)
    import_model([reference["G_B"]], names=("A", "B"), to=tmp_path / "one.safetensors")
    assert export_onnx(tmp_path / "one.safetensors", tmp_path / "one.onnx") == (tmp_path / "one.onnx",)
    assert [path.name for path in export_onnx(tmp_path / "one.safetensors", tmp_path)] == ["one_b2a.onnx"]


@pytest.mark.usefixtures("_needs_onnx")
def test_an_onnx_file_carries_the_story_and_its_own_direction(make_model: Callable[..., Path], tmp_path: Path) -> None:
    import onnx

    files = export_onnx(make_model(grey_A=True), tmp_path / "x.onnx")
    for file, direction, channels in zip(files, ("a2b", "b2a"), ((1, 3), (3, 1)), strict=True):
        model = onnx.load(file)
        told = {entry.key: entry.value for entry in model.metadata_props}
        assert (told["name_A"], told["name_B"], told["direction"]) == ("Reds", "Blues", direction)
        assert (told["size"], told["multiple"], told["licence"]) == ("32", "4", "CC0")
        values = (model.graph.input[0], model.graph.output[0])
        assert tuple(value.type.tensor_type.shape.dim[1].dim_value for value in values) == channels


@pytest.mark.usefixtures("_needs_onnx")
def test_no_onnx_file_is_overwritten(make_model: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "x_b2a.onnx").write_bytes(b"precious")
    with pytest.raises(ModelFileError, match=r"x_b2a\.onnx exists already"):
        export_onnx(make_model(), tmp_path / "x.onnx")
    assert (tmp_path / "x_b2a.onnx").read_bytes() == b"precious"
    assert not (tmp_path / "x_a2b.onnx").exists()


# The model card


def test_the_card_tells_everything_of_a_model_file(make_model: Callable[..., Path], tmp_path: Path) -> None:
    model = make_model()
    assert export_card(model, tmp_path / "card.json") == tmp_path / "card.json"
    card = json.loads((tmp_path / "card.json").read_bytes())
    assert card["format_version"] == 1
    assert card["names"] == {"A": "Reds", "B": "Blues"}
    assert Architecture(**card["architecture"]) == Architecture(blocks=1, channels=4)
    assert (card["size"], card["multiple"], card["preset"], card["steps"]) == (32, 4, "standard", 7)
    assert (card["licence"], card["note"], card["training"]) == ("CC0", "A note.", None)
    assert card["file"]["sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert (card["file"]["name"], card["file"]["bytes"]) == (model.name, model.stat().st_size)
    assert list(card["directions"]) == ["a2b", "b2a"]
    parameters = sum(p.numel() for p in load_generator(model, "b2a", CPU)[0].parameters())
    assert card["directions"]["b2a"]["parameters"] == parameters
    assert card["directions"]["b2a"]["command"].endswith("--direction b2a")
    with pytest.raises(ModelFileError, match="exists already"):
        export_card(model, tmp_path / "card.json")


def test_unknown_steps_are_null(make_model: Callable[..., Path], tmp_path: Path) -> None:
    export_card(make_model(steps=0), tmp_path / "card.json")
    assert json.loads((tmp_path / "card.json").read_bytes())["steps"] is None


def test_the_card_of_a_training_tells_its_settings_but_no_folder(run: Callable[..., Path], tmp_path: Path) -> None:
    folder = run(learning_rate=3e-4)
    text = export_card(folder, tmp_path / "card.json").read_text(encoding="utf-8")
    assert str(tmp_path) not in text and tmp_path.name not in text
    training = json.loads(text)["training"]
    assert training["settings"]["learning_rate"] == 3e-4
    assert training["pictures"]["train_A"] in (5, 6)
    assert training["losses"]["step"] == 2
    assert training["losses"]["cycle_A"] > 0


@pytest.mark.parametrize("lost", ["sample_A", "held_out"])
def test_a_training_with_a_damaged_story_gets_no_card(run: Callable[..., Path], tmp_path: Path, lost: str) -> None:
    folder = run()
    document = json.loads((folder / "config.json").read_bytes())
    del document["pictures"][lost]
    (folder / "config.json").write_text(json.dumps(document))
    with pytest.raises(RunError, match=r"config\.json is damaged"):
        export_card(folder, tmp_path / "card.json")
    assert not (tmp_path / "card.json").exists()


def test_a_damaged_model_gets_no_card(make_model: Callable[..., Path], tmp_path: Path) -> None:
    model = make_model()
    content = bytearray(model.read_bytes())
    content[-5] ^= 1
    model.write_bytes(content)
    with pytest.raises(ModelFileError, match="damaged"):
        export_card(model, tmp_path / "card.json")
    assert not (tmp_path / "card.json").exists()


# The command


def test_the_command_imports_tells_and_exports(
    reference: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(tmp_path / "horses.safetensors")
    files = [str(path) for path in reference.values()]
    assert main(["import", *files, "--names", "Horses", "Zebras", "--to", model, "--size", "128"]) == 0
    told = capsys.readouterr().out
    for words in ("a2b Horses to Zebras, b2a Zebras to Horses", "128 px, steps not known; imported on "):
        assert words in told
    assert "ResNet, 2 blocks, 4 channels" in told and "patch, 2 layers, 5 channels" in told
    assert main(["export", model, "--pth", str(tmp_path / "out")]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4
    assert main(["export", model, "--card", str(tmp_path / "card.json"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"event": "Exported", "files": [str(tmp_path / "card.json")]}


def test_the_command_of_one_direction_tells_one(
    reference: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(tmp_path / "m.safetensors")
    assert main(["import", str(reference["G_A"]), "--names", "A", "B", "--to", model, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["event"], told["directions"], told["discriminators"]) == ("ModelInfo", ["a2b"], None)
    assert main(["info", model]) == 0
    assert "b2a" not in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["import", "FOREIGN", "--names", "A", "B", "--to", "NEW"],
                                       ["export", "FOREIGN", "--pth", "NEW"], ["export", "FOREIGN", "--onnx", "NEW"],
                                       ["export", "FOREIGN", "--card", "NEW"]])  # fmt: skip
def test_what_cannot_be_done_is_a_sentence_and_code_2(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if "--onnx" in arguments:
        pytest.importorskip("onnx")
    foreign, new = tmp_path / "foreign.pth", tmp_path / "new.safetensors"
    foreign.write_bytes(b"foreign")
    places = {"FOREIGN": str(foreign), "NEW": str(new)}
    assert main([*(places.get(each, each) for each in arguments), "--json"]) == 2
    told = capsys.readouterr()
    assert json.loads(told.out)["event"] == "Failed"
    assert told.err.startswith("cyclegan: ") and str(foreign) in told.err and "Traceback" not in told.err
    assert not new.exists()


def test_old_model_files_can_still_be_exported(make_model: Callable[..., Path], tmp_path: Path) -> None:
    """Version 1 said nothing of directions, and its architectures were ResNets of colour pictures."""
    from engine.tensor_file import read_tensors, write_tensors

    model = make_model()
    tensors, metadata = read_tensors(model)
    old = {"blocks": 1, "channels": 4, "long_skip": False, "resize_conv": False}
    metadata |= {"format_version": "1", "architecture": json.dumps(old)}
    del metadata["directions"]
    write_tensors(model, tensors, metadata)
    info = read_model_info(model)
    assert (info.format_version, info.directions, info.discriminators) == (1, ("a2b", "b2a"), None)
    assert dataclasses.asdict(info.architecture) == dataclasses.asdict(Architecture(blocks=1, channels=4))
    assert len(export_pth(model, tmp_path / "out")) == 2
