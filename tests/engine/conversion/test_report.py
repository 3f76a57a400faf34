"""A report says what became of every picture, shows it, and trusts no file name."""

from __future__ import annotations

import csv
import io
import os
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from engine.conversion import report
from engine.conversion.report import ReportRow, check_report_folder, write_report
from engine.errors import DataError


class Page(HTMLParser):
    """A page as a browser takes it: its tags, the addresses it asks for, and its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.classes: list[str] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = dict(attrs)
        assert not any(name.startswith("on") for name in values)
        self.addresses += [values[name] or "" for name in ("src", "href") if name in values]
        if tag == "li":
            self.classes.append(values["class"] or "")

    def handle_data(self, data: str) -> None:
        self.text += data


def draw(path: Path, colour: str = "red", size: tuple[int, int] = (900, 300)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def write(rows: list[ReportRow], to: Path, title: str = "Reds to Blues") -> None:
    list(write_report(rows, to, title))


def table(to: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((to / "report.csv").read_bytes().decode("utf-8-sig"), newline="")))


def test_the_table_has_every_picture_in_its_order_with_a_mark_for_excel(tmp_path: Path) -> None:
    rows = [
        ReportRow(tmp_path / "ä.png", "Done", tmp_path / "out" / "ä.png", "16 to 8 bit: JPEG.", 1.234, "OpenVINO"),
        ReportRow(tmp_path / "b.png", "Failed", None, 'It is "cut off", at the end.'),
        ReportRow(tmp_path / "c.png", "Pending"),
    ]
    write(rows, tmp_path / "report")
    assert (tmp_path / "report" / "report.csv").read_bytes().startswith(b"\xef\xbb\xbfsource,result,state,")
    assert [list(row.values()) for row in table(tmp_path / "report")] == [
        [str(rows[0].source), str(rows[0].target), "Done", "16 to 8 bit: JPEG.", "1.23", "OpenVINO"],
        [str(rows[1].source), "", "Failed", 'It is "cut off", at the end.', "0.00", ""],
        [str(rows[2].source), "", "Pending", "", "0.00", ""],
    ]


@pytest.mark.parametrize(
    ("engines", "sentence"),
    [
        (["OpenVINO"] * 2, "Converted by OpenVINO."),
        (["PyTorch", "OpenVINO", "OpenVINO"], "Converted by OpenVINO (2) and PyTorch (1)."),
    ],
)
def test_the_page_says_what_translated_the_pictures(tmp_path: Path, engines: list[str], sentence: str) -> None:
    rows = [ReportRow(Path(f"{place}.png"), "Done", None, "", 1.2, engine) for place, engine in enumerate(engines)]
    write([*rows, ReportRow(Path("s.png"), "Skipped")], tmp_path / "report")
    page = Page(tmp_path / "report" / "report.html")
    assert sentence in page.text and "1.2 s by OpenVINO" in page.text


def test_a_report_on_pictures_that_were_all_there_names_no_program(tmp_path: Path) -> None:
    write([ReportRow(Path("s.png"), "Skipped")], tmp_path / "report")
    assert "Converted by" not in Page(tmp_path / "report" / "report.html").text


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r", "＝"])
def test_no_cell_is_a_formula(tmp_path: Path, start: str) -> None:
    bad = f"{start}HYPERLINK(1)"
    write([ReportRow(Path(bad), "Failed", Path(bad), bad)], tmp_path / "report")
    row = table(tmp_path / "report")[0]
    assert row["source"] == row["result"] == row["notes"] == f"'{bad}"


def test_before_and_after_are_shown_small_and_come_from_the_folder(tmp_path: Path) -> None:
    source, target = draw(tmp_path / "in" / "a.png", "red"), draw(tmp_path / "out" / "a.png", "blue")
    to = tmp_path / "report"
    write([ReportRow(source, "Done", target, "", 1.0)], to)
    page = Page(to / "report.html")
    pictures = [address for address in page.addresses if address.startswith("pictures/")]
    assert len(pictures) == 2
    for name, (more, less) in zip(pictures, ((0, 2), (2, 0)), strict=True):
        with Image.open(to / name) as picture:
            assert picture.format == "JPEG" and max(picture.size) <= 240
            colours = picture.getpixel((10, 10))
            assert colours[more] > 200 > 50 > colours[less]
    assert target.absolute().as_uri() in page.addresses


def test_failed_ones_come_first_with_their_reason_and_all_are_counted(tmp_path: Path) -> None:
    rows = [ReportRow(Path(f"done{number}.png"), "Done", Path(f"x{number}.png")) for number in range(3)]
    rows += [ReportRow(Path("bad.png"), "Failed", None, "bad.png is cut off."), ReportRow(Path("s.png"), "Skipped")]
    write(rows, tmp_path / "report")
    page = Page(tmp_path / "report" / "report.html")
    assert page.classes == ["Failed", "Done", "Done", "Done", "Skipped"]
    assert "bad.png is cut off." in page.text
    words = " ".join(page.text.split())
    assert "5 pictures." in words and "Failed 1" in words and "Done 3" in words and "Skipped 1" in words


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>.png",
        '" onerror="alert(1).png',
        "<img src=x>.png",
        "</title><b>.png",
        "{title}&amp;.png",
    ],
)
def test_names_and_reasons_stay_text(tmp_path: Path, name: str) -> None:
    rows = [ReportRow(tmp_path / name, "Failed", tmp_path / name, f"{name} is bad.")]
    write(rows, tmp_path / "report", title=name)
    plain = tmp_path / "plain"
    write([ReportRow(tmp_path / "a.png", "Failed", tmp_path / "a.png", "a.png is bad.")], plain, title="a")
    page = Page(tmp_path / "report" / "report.html")
    assert page.tags == Page(plain / "report.html").tags
    assert f"{name} is bad." in page.text


def test_a_page_asks_nobody_for_anything_and_has_no_script(tmp_path: Path) -> None:
    source = draw(tmp_path / "a.png")
    write([ReportRow(source, "Done", source)], tmp_path / "report")
    content = (tmp_path / "report" / "report.html").read_text()
    page = Page(tmp_path / "report" / "report.html")
    assert "http:" not in content and "https:" not in content and "script" not in page.tags and "link" not in page.tags
    assert all(address.startswith(("file:", "pictures/", "report")) for address in page.addresses)
    assert "default-src 'none'" in content


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
def test_names_that_are_no_unicode_are_shown_in_escapes(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9\n.png")
    write([ReportRow(path, "Failed", None, f"{path} is bad.")], tmp_path / "report")
    page = Page(tmp_path / "report" / "report.html")
    assert "caf\\udce9" in page.text
    assert any(address.endswith("caf%E9%0A.png") for address in page.addresses)
    assert "caf\\udce9" in table(tmp_path / "report")[0]["source"]


def test_many_pictures_are_spread_over_pages_that_lead_to_one_another(tmp_path: Path) -> None:
    rows = [ReportRow(Path(f"{number}.png"), "Skipped") for number in range(401)]
    write(rows, tmp_path / "report")
    names = ["report.html", "report-2.html", "report-3.html"]
    pages = [Page(tmp_path / "report" / name) for name in names]
    assert [len(page.classes) for page in pages] == [200, 200, 1]
    for page in pages:
        assert set(names) <= set(page.addresses)
        assert "401 pictures" in page.text
    assert not (tmp_path / "report" / "report-4.html").exists()


def test_of_a_very_long_report_the_first_pictures_are_shown_and_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "_MOST_WITH_PICTURES", 2)
    source = draw(tmp_path / "a.png")
    write([ReportRow(source, "Done", source)] * 3, tmp_path / "report")
    page = Page(tmp_path / "report" / "report.html")
    assert page.tags.count("img") == 4
    assert "the first 2" in page.text


def test_what_cannot_be_shown_costs_no_more_than_its_picture(tmp_path: Path) -> None:
    good = draw(tmp_path / "good.png")
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    rows = [ReportRow(broken, "Done", good), ReportRow(good, "Done", tmp_path / "gone.png")]
    write(rows, tmp_path / "report")
    page = Page(tmp_path / "report" / "report.html")
    assert page.tags.count("img") == 2 and len(page.classes) == 2


def test_it_tells_how_far_it_is_and_can_be_stopped(tmp_path: Path) -> None:
    source = draw(tmp_path / "a.png")
    writing = write_report([ReportRow(source, "Done", source)] * 400, tmp_path / "report", "x")
    event = next(event for event in writing if event.done)
    assert (event.text, event.total) == ("Writing the report", 400)
    writing.close()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    write([ReportRow(Path("a.png"), "Done")], tmp_path / "report")
    before = {path: path.read_bytes() for path in (tmp_path / "report").rglob("*") if path.is_file()}
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path / "report", tmp_path / "file"):
        with pytest.raises(DataError, match="already") as refusal:
            write([ReportRow(Path("b.png"), "Failed")], folder)
        assert refusal.value.field == "report"
    assert {path: path.read_bytes() for path in (tmp_path / "report").rglob("*") if path.is_file()} == before


def test_a_report_does_not_lie_among_the_sources(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(DataError, match="source folder"):
        check_report_folder(tmp_path / "in" / "report", [tmp_path / "in"])
    check_report_folder(tmp_path / "report", [tmp_path / "in"])


def test_a_batch_of_nothing_has_a_report(tmp_path: Path) -> None:
    write([], tmp_path / "report")
    assert Page(tmp_path / "report" / "report.html").classes == []
    assert table(tmp_path / "report") == []
