"""A folder of results knows which picture each was made of, whatever ended the conversion that made it."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import files
from engine.config import ConvertJob
from engine.conversion import ledger as ledger_module
from engine.conversion.ledger import LEDGER_NAME, LOCK_NAME, Fingerprint, Ledger, fingerprint, settings_key
from engine.errors import DataError

needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names or files")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "a.jpg"
    path.parent.mkdir()
    path.write_bytes(b"the picture")
    return path


def make(ledger: Ledger, source: Path, target: Path, content: bytes = b"the result", **choices: object) -> Path | None:
    """A result of `content`, published."""
    temporary = ledger.temporary_for(target.parent)
    temporary.write_bytes(content)
    values = {"if_exists": "rename", "may_replace": lambda path: True} | choices
    return ledger.publish(source, fingerprint(source), fingerprint(temporary), temporary, target, **values)


def result_of(ledger: Ledger, source: Path) -> Path | None:
    known = ledger.result_of(source)
    return None if known is None else known.target


def shown(folder: Path) -> list[str]:
    """Everything in a folder but its ledger."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in found if name != LEDGER_NAME)


class Killed(BaseException):
    """In place of SIGKILL: nothing may be tidied up after it."""


@pytest.fixture
def killed_when() -> Iterator[object]:
    """Begins a conversion that is killed in the middle of publishing, as far as its files can tell."""
    left: list[Ledger] = []

    def kill(out: Path, source: Path, patch: pytest.MonkeyPatch, name: str, act: object) -> None:
        dead = Ledger.open(out, "s", exclusive=False)
        left.append(dead)
        with patch.context() as at:
            at.setattr(ledger_module if name == "move_to_free_name" else files.os, name, act)
            with pytest.raises(Killed):
                make(dead, source, out / "a.png")

    yield kill
    for dead in left:
        os.close(dead._file)


def test_a_result_is_known_again_by_the_next_conversion(out: Path, source: Path) -> None:
    with Ledger.open(out, "s") as ledger:
        assert result_of(ledger, source) is None
        assert make(ledger, source, out / "a.png") == out / "a.png"
        assert result_of(ledger, source) == out / "a.png"
    with Ledger.open(out, "s") as ledger:
        assert result_of(ledger, source) == out / "a.png"
    assert shown(out) == ["a.png"]


def test_other_settings_another_source_or_a_changed_file_make_it_unknown(out: Path, source: Path) -> None:
    with Ledger.open(out, "s") as ledger:
        make(ledger, source, out / "a.png")
    with Ledger.open(out, "other") as ledger:
        assert result_of(ledger, source) is None
    with Ledger.open(out, "s") as ledger:
        assert result_of(ledger, source.with_name("b.jpg")) is None
        source.write_bytes(b"another picture")
        assert result_of(ledger, source) is None
        source.write_bytes(b"the picture")
        assert result_of(ledger, source) == out / "a.png"
        (out / "a.png").write_bytes(b"the rezult")
        os.utime(out / "a.png", ns=(1, 1))
        assert result_of(ledger, source) is None
        (out / "a.png").unlink()
        assert result_of(ledger, source) is None
        (out / "a.png").mkdir()
        assert result_of(ledger, source) is None


def test_where_only_the_time_differs_the_content_decides_once(
    out: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Ledger.open(out, "s") as ledger:
        make(ledger, source, out / "a.png")
    os.utime(source, ns=(5, 5))
    os.utime(out / "a.png", ns=(7, 7))
    with Ledger.open(out, "s") as ledger:
        assert result_of(ledger, source) == out / "a.png"
    monkeypatch.setattr(ledger_module, "fingerprint", lambda path: pytest.fail(f"{path} was read again"))
    with Ledger.open(out, "s") as ledger:
        assert result_of(ledger, source) == out / "a.png"


def test_an_older_result_counts_where_a_newer_one_is_gone(out: Path, source: Path) -> None:
    with Ledger.open(out, "s") as ledger:
        make(ledger, source, out / "a.png")
        again = make(ledger, source, out / "a.png")
        assert again == out / "a (1).png" == result_of(ledger, source)
        again.unlink()
        assert result_of(ledger, source) == out / "a.png"


def test_a_tree_that_was_moved_is_known_by_name_size_subfolder_and_content(tmp_path: Path, out: Path) -> None:
    names = ("2019/a.jpg", "2020/a.jpg", "b.jpg")
    for name in names:
        (tmp_path / "old" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "old" / name).write_bytes(name.encode())
        (out / name).parent.mkdir(exist_ok=True)
    with Ledger.open(out, "s") as ledger:
        for name in names:
            make(ledger, tmp_path / "old" / name, out / name)
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "b.jpg").write_bytes(b"b.jpg")
    with Ledger.open(out, "s") as ledger:
        assert result_of(ledger, tmp_path / "copy" / "b.jpg") is None, "the first one is still there, so this is a copy"
    (tmp_path / "old").rename(tmp_path / "new")
    (tmp_path / "new" / "2020" / "b.jpg").write_bytes(b"B.jpg")
    with Ledger.open(out, "s") as ledger:
        for name in names:
            assert result_of(ledger, tmp_path / "new" / name) == out / name
        (tmp_path / "new" / "2018").mkdir()
        (tmp_path / "new" / "2019" / "a.jpg").rename(tmp_path / "new" / "2018" / "a.jpg")
        assert result_of(ledger, tmp_path / "new" / "2018" / "a.jpg") is None, "its result belongs elsewhere now"
        assert result_of(ledger, tmp_path / "new" / "2020" / "b.jpg") is None, "the content differs"
        assert result_of(ledger, tmp_path / "new" / "gone.jpg") is None


# Killed


def raise_killed(*arguments: object) -> None:
    raise Killed


def test_a_kill_before_the_move_leaves_nothing_done(
    out: Path, source: Path, monkeypatch: pytest.MonkeyPatch, killed_when
) -> None:
    killed_when(out, source, monkeypatch, "move_to_free_name", raise_killed)
    assert len(shown(out)) == 1
    with Ledger.open(out, "s") as ledger:
        assert shown(out) == [LOCK_NAME]
        assert result_of(ledger, source) is None
        assert make(ledger, source, out / "a.png") == out / "a.png"


@needs_posix
def test_a_kill_after_the_link_and_before_the_end_leaves_it_done(
    out: Path, source: Path, monkeypatch: pytest.MonkeyPatch, killed_when
) -> None:
    def link_and_die(temporary: Path, target: Path) -> None:
        os.link(temporary, target)
        raise Killed

    killed_when(out, source, monkeypatch, "move_to_free_name", link_and_die)
    assert len(shown(out)) == 2
    with Ledger.open(out, "s") as ledger:
        assert result_of(ledger, source) == out / "a.png"
    assert shown(out) == ["a.png"]


@needs_posix
def test_a_kill_on_a_disk_without_links_leaves_no_empty_file(
    out: Path, source: Path, monkeypatch: pytest.MonkeyPatch, killed_when
) -> None:
    def take_name_and_die(temporary: Path, target: Path) -> None:
        target.touch()
        raise Killed

    (out / "users own.png").touch()
    killed_when(out, source, monkeypatch, "move_to_free_name", take_name_and_die)
    with Ledger.open(out, "s") as ledger:
        assert result_of(ledger, source) is None
        assert make(ledger, source, out / "a.png") == out / "a.png"
    assert shown(out) == ["a.png", "users own.png"]


def test_only_temporaries_of_dead_conversions_are_removed(
    out: Path, source: Path, monkeypatch: pytest.MonkeyPatch, killed_when
) -> None:
    (out / "sub").mkdir()
    foreign = [out / ".cyclegan-0123456789ab.part-1", out / "sub" / ".b.part-12345678", out / ".cyclegan-x.part-1"]
    for path in foreign:
        path.write_bytes(b"")
    killed_when(out, source, monkeypatch, "move_to_free_name", raise_killed)
    dead = next(path for path in out.iterdir() if path.name.endswith(".part-1") and path not in foreign)
    (out / "sub" / dead.name.replace("part-1", "part-2")).write_bytes(b"half")
    with Ledger.open(out, "s") as ledger:
        assert not dead.exists() and len(list((out / "sub").iterdir())) == 1
        dead.write_bytes(b"written by a worker that died late")
        mine = ledger.temporary_for(out)
        mine.write_bytes(b"not published")
    assert not dead.exists() and not mine.exists()
    assert all(path.exists() for path in foreign)
    with Ledger.open(out, "s"):
        dead.write_bytes(b"nobody's any more")
    assert dead.exists(), "once tidied up, a session is over"


def test_a_torn_last_line_is_ignored_and_the_next_begins_anew(out: Path, source: Path) -> None:
    second = source.with_name("b.jpg")
    second.write_bytes(b"second")
    with Ledger.open(out, "s") as ledger:
        make(ledger, source, out / "a.png")
    path = out / LEDGER_NAME
    path.write_bytes(path.read_bytes() + b'{"result":"b.png","sour')
    with Ledger.open(out, "s") as ledger:
        assert result_of(ledger, source) == out / "a.png"
        make(ledger, second, out / "b.png")
        assert result_of(ledger, second) == out / "b.png"
    with Ledger.open(out, "s") as ledger:
        assert result_of(ledger, second) == out / "b.png"


def test_a_full_disk_in_the_middle_of_a_line_spoils_no_other(
    out: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = os.write
    with Ledger.open(out, "s") as ledger:
        temporary = ledger.temporary_for(out)
        temporary.write_bytes(b"the result")
        prints = fingerprint(source), fingerprint(temporary)
        with monkeypatch.context() as full:
            full.setattr(ledger_module.os, "write", lambda file, line: whole(file, line[:40]))
            with pytest.raises(OSError) as failure:
                ledger.publish(
                    source, *prints, temporary, out / "a.png", if_exists="rename", may_replace=lambda path: True
                )
        assert failure.value.errno == errno.ENOSPC
        assert temporary.exists() and not (out / "a.png").exists()
        ledger.publish(source, *prints, temporary, out / "a.png", if_exists="rename", may_replace=lambda path: True)
        assert result_of(ledger, source) == out / "a.png"
    with Ledger.open(out, "s") as ledger:
        assert result_of(ledger, source) == out / "a.png"


@pytest.mark.parametrize(
    "rubbish",
    [
        b"\x00\xff\xfe" * 100,
        b"[]\n{}\nnull\n7\n" + b"[" * 60_000 + b"\n",
        b"x" * 200_000 + b"\n",
        b'{"begun":7}\n{"ended":[]}\n{"begun":"../../../x"}\n',
        b'{"result":7,"source":"SOURCE","settings":"s","session":"x"}\n',
        b'{"result":"a.png","source":"SOURCE","settings":"s","session":{},"is":[1,2],"was":null}\n',
        b'{"result":"\\u0000","source":"SOURCE","settings":"s","session":"x","is":[10,1,""],"was":[11,1,""]}\n',
        b'{"result":"\\ud800","source":"SOURCE","settings":"s","session":"x","is":[10,1,""],"was":[11,1,""]}\n',
    ],
)
def test_lines_that_make_no_sense_are_ignored_and_kept(out: Path, source: Path, rubbish: bytes) -> None:
    rubbish = rubbish.replace(b"SOURCE", json.dumps(str(source))[1:-1].encode())
    (out / LEDGER_NAME).write_bytes(rubbish)
    with Ledger.open(out, "s") as ledger:
        assert result_of(ledger, source) is None
        make(ledger, source, out / "a.png")
        assert result_of(ledger, source) == out / "a.png"
    assert (out / LEDGER_NAME).read_bytes().startswith(rubbish)
    with Ledger.open(out, "s") as ledger:
        assert result_of(ledger, source) == out / "a.png"


@pytest.mark.parametrize("escape", ["../secret.png", "sub/../../secret.png", "ABSOLUTE"])
def test_a_doctored_ledger_leads_to_no_file_outside(tmp_path: Path, out: Path, source: Path, escape: str) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"")
    with Ledger.open(out, "s") as ledger:
        make(ledger, source, out / "a.png")
    lines = (out / LEDGER_NAME).read_text().splitlines()
    values = json.loads(lines[1])
    place = escape.replace("ABSOLUTE", secret.as_posix())
    # As if killed with this as its last intention, the file being an empty one.
    values |= {"result": place, "is": [7, 0, hashlib.sha256(b"").hexdigest()]}
    (out / LEDGER_NAME).write_text(lines[0] + "\n" + json.dumps(values) + "\n")
    with Ledger.open(out, "s") as ledger:
        assert result_of(ledger, source) is None
    assert secret.exists()


# Names that are taken


def test_rename_never_overwrites_and_skip_gives_up(out: Path, source: Path) -> None:
    (out / "a.png").write_bytes(b"users own")
    with Ledger.open(out, "s") as ledger:
        assert make(ledger, source, out / "a.png") == out / "a (1).png"
        assert make(ledger, source, out / "a.png") == out / "a (2).png"
        assert make(ledger, source, out / "a.png", if_exists="skip") is None
        assert make(ledger, source, out / "b.png", if_exists="skip") == out / "b.png"
    assert shown(out) == ["a (1).png", "a (2).png", "a.png", "b.png"]
    assert (out / "a.png").read_bytes() == b"users own"


def test_a_name_taken_at_the_last_moment_is_respected(out: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ledger_module.move_to_free_name

    def too_late(temporary: Path, target: Path) -> None:
        if target.name == "a.png":
            target.write_bytes(b"another's")
        whole(temporary, target)

    monkeypatch.setattr(ledger_module, "move_to_free_name", too_late)
    with Ledger.open(out, "s") as ledger:
        assert make(ledger, source, out / "a.png") == out / "a (1).png"
        assert result_of(ledger, source) == out / "a (1).png"
        (out / "a.png").unlink()
        assert make(ledger, source, out / "a.png", if_exists="skip") is None
    assert shown(out) == ["a (1).png", "a.png"]
    assert (out / "a.png").read_bytes() == b"another's"


def test_overwrite_replaces_only_what_may_be_replaced(out: Path, source: Path) -> None:
    (out / "a.png").write_bytes(b"old")
    (out / "b.png").mkdir()
    asked: list[Path] = []

    def only_a(path: Path) -> bool:
        asked.append(path)
        return path.name == "a.png"

    with Ledger.open(out, "s") as ledger:
        choices = {"if_exists": "overwrite", "may_replace": only_a}
        assert make(ledger, source, out / "a.png", b"new", **choices) == out / "a.png"
        assert make(ledger, source, out / "b.png", b"new", **choices) == out / "b (1).png"
        (out / "c.png").write_bytes(b"the source")
        assert make(ledger, source, out / "c.png", b"new", **choices) == out / "c (1).png"
        assert make(ledger, source, out / "new.png", b"new", **choices) == out / "new.png"
    assert (out / "a.png").read_bytes() == b"new"
    assert (out / "c.png").read_bytes() == b"the source"
    assert asked == [out / "a.png", out / "b.png", out / "c.png"]


@needs_posix
def test_overwriting_a_link_leaves_what_it_points_to(out: Path, source: Path) -> None:
    (out / "a.png").symlink_to(source)
    with Ledger.open(out, "s") as ledger:
        make(ledger, source, out / "a.png", b"new", if_exists="overwrite")
    assert source.read_bytes() == b"the picture"
    assert (out / "a.png").read_bytes() == b"new" and not (out / "a.png").is_symlink()


@needs_posix
def test_names_that_are_no_unicode_survive(tmp_path: Path, out: Path) -> None:
    source = tmp_path / os.fsdecode(b"caf\xe9\n.jpg")
    try:
        source.write_bytes(b"the picture")
    except OSError:
        pytest.skip("this disk takes Unicode only")
    target = out / os.fsdecode(b"caf\xe9\n.png")
    with Ledger.open(out, "s") as ledger:
        make(ledger, source, target)
    with Ledger.open(out, "s") as ledger:
        assert result_of(ledger, source) == target


# The folder


def test_a_second_conversion_into_the_folder_is_refused_until_the_first_ends(out: Path) -> None:
    with Ledger.open(out, "s"):
        with pytest.raises(DataError, match="converting into") as refusal:
            Ledger.open(out, "s")
        assert refusal.value.field == "to"
        with Ledger.open(out, "s", exclusive=False):
            pass
    with Ledger.open(out, "s"):
        pass
    assert list(out.iterdir()) == [], "neither a lock nor an empty ledger is left"


def test_processes_that_share_the_work_write_one_ledger(out: Path, source: Path) -> None:
    second = source.with_name("b.jpg")
    second.write_bytes(b"second")
    with Ledger.open(out, "s") as first_rank, Ledger.open(out, "s", exclusive=False) as second_rank:
        for number in range(50):
            make(first_rank, source, out / f"a{number}.png")
            make(second_rank, second, out / f"b{number}.png")
        assert result_of(first_rank, source) == out / "a49.png"
        assert result_of(second_rank, second) == out / "b49.png"
    with Ledger.open(out, "s") as ledger:
        assert result_of(ledger, source) == out / "a49.png"
        assert result_of(ledger, second) == out / "b49.png"


def test_a_folder_that_is_not_there_or_a_ledger_that_is_no_file_is_a_sentence(tmp_path: Path, out: Path) -> None:
    for folder in (tmp_path / "nowhere", out):
        if folder == out:
            (out / LEDGER_NAME).mkdir()
        with pytest.raises(DataError, match=folder.name) as refusal:
            Ledger.open(folder, "s")
        assert refusal.value.field == "to"


@needs_posix
def test_a_ledger_that_is_a_link_or_a_pipe_is_refused(tmp_path: Path, out: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"")
    (out / LEDGER_NAME).symlink_to(victim)
    with pytest.raises(DataError):
        Ledger.open(out, "s")
    (out / LEDGER_NAME).unlink()
    os.mkfifo(out / LEDGER_NAME)
    with pytest.raises(DataError, match="no plain file"):
        Ledger.open(out, "s")
    assert victim.read_bytes() == b""


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="permissions do not bind this user")
def test_a_folder_that_cannot_be_written_is_a_sentence(out: Path) -> None:
    out.chmod(0o500)
    try:
        with pytest.raises(DataError, match="permission"):
            Ledger.open(out, "s")
    finally:
        out.chmod(0o700)


# What is compared


def test_a_fingerprint_is_size_time_and_hash(source: Path) -> None:
    os.utime(source, ns=(3, 1_600_000_000_000_000_000))
    digest = hashlib.sha256(b"the picture").hexdigest()
    assert fingerprint(source) == Fingerprint(11, 1_600_000_000_000_000_000, digest)


@pytest.mark.parametrize(
    ("field", "value", "differs"),
    [
        ("direction", "b2a", True),
        ("format", "png", True),
        ("quality", 80, True),
        ("lossless", True, True),
        ("chroma", "4:2:0", True),
        ("frames", "first", True),
        ("resize", "change", True),
        ("name", "{name} {date}", True),
        ("precision", "fp32", True),
        # Not the wish for an engine but which one converts, see `by_openvino`.
        ("engine", "pytorch", False),
        ("model", Path("copy.safetensors"), False),
        ("sources", (Path("other"),), False),
        ("to", Path("other"), False),
        ("if_exists", "skip", False),
        ("again", True, False),
        ("watch", True, False),
        ("max_megapixels", 5, False),
        ("time_limit", 5.0, False),
        ("memory_gb", 1.0, False),
        ("device", "cpu", False),
        ("roots", (Path("root"),), False),
    ],
)
def test_the_key_holds_what_a_result_depends_on_and_nothing_else(field: str, value: object, differs: bool) -> None:
    job = ConvertJob(model=Path("m"), sources=(Path("a"),), to=Path("out"), direction="a2b")
    changed = dataclasses.replace(job, **{field: value})
    assert (settings_key(changed, "hash") != settings_key(job, "hash")) == differs
    assert settings_key(job, "hash") != settings_key(job, "other model")


def test_the_test_above_knows_every_field() -> None:
    mark = next(
        mark
        for mark in test_the_key_holds_what_a_result_depends_on_and_nothing_else.pytestmark
        if mark.name == "parametrize"
    )
    assert {case[0] for case in mark.args[1]} == {field.name for field in dataclasses.fields(ConvertJob)}


def test_what_a_result_could_not_keep_is_remembered(tmp_path: Path, source: Path, out: Path) -> None:
    notes = ("16 to 8 bits: JPEG.", "Its XMP is \u201ctoo long\u201d.")
    with Ledger.open(out, "s") as ledger:
        make(ledger, source, out / "a.png", notes=notes)
    os.utime(source, ns=(1, 1))
    for _ in range(2):  # Also from the line that is written anew for the new time.
        with Ledger.open(out, "s") as ledger:
            known = ledger.result_of(source)
            assert known is not None and known.notes == notes
    with (out / LEDGER_NAME).open("a") as file:
        lines = (out / LEDGER_NAME).read_text().splitlines()
        file.write(next(line for line in lines if '"notes"' in line).replace('"16 to', '5,"16 to') + "\n")
    with Ledger.open(out, "s") as ledger:
        known = ledger.result_of(source)
        assert known is not None and known.target == out / "a.png" and known.notes == ()
