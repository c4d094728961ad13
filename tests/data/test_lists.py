"""Lists of files are read in the forms that people write, and what they name must be there."""

from __future__ import annotations

import pytest

from xseg.data.layout import FileOptions
from xseg.data.lists import ListedPairs, NamedFiles, lines_of
from xseg.errors import DataError


@pytest.fixture
def root(tmp_path):
    for name in ("i/a.jpg", "i/b c.jpg", "m/a.png", "m/b c.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return tmp_path


def pairs(root, file, **columns):
    return ListedPairs(root, file, FileOptions(**columns))


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("i/a.jpg m/a.png", ["i/a"]),
        ("i/a.jpg,m/a.png", ["i/a"]),
        ("# a comment\n\ni/a.jpg\tm/a.png\ni/b c.jpg\tm/b c.png", ["i/a", "i/b c"]),
    ],
)
def test_images_and_masks_are_separated_by_a_tab_a_comma_or_a_space(line, names, root):
    (root / "train.txt").write_text(line)
    found = pairs(root, "{split}.txt")("train")
    assert [record.name for record in found] == names
    assert all(record.mask.is_file() for record in found)


def test_absolute_paths_are_read(root):
    (root / "train.txt").write_text(f"{root}/i/a.jpg {root}/m/a.png")
    (record,) = pairs(root, "{split}.txt")("train")
    assert record.image == root / "i/a.jpg"


def test_a_table_says_the_split_and_may_leave_the_mask_empty(root):
    (root / "all.csv").write_text("split, image, mask\ntrain, i/a.jpg, m/a.png\ntest, i/b c.jpg,\n")
    listing = pairs(root, "all.csv")
    assert listing.has_splits()
    assert [record.name for record in listing("train")] == ["i/a"]
    assert listing("test")[0].mask is None
    with pytest.raises(DataError, match="lists no image of the val split"):
        listing("val")
    (root / "all.tsv").write_text("image\tmask\ni/a.jpg\tm/a.png\n")
    assert not pairs(root, "all.tsv").has_splits()
    assert len(pairs(root, "all.tsv")("train")) == 1


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("train.txt", "i/a.jpg", r"has the line 'i/a.jpg'; expected an image and its mask"),
        ("train.txt", "i/b c.jpg m/b c.png", r"use tabs if paths contain spaces"),
        ("train.txt", "i/a.jpg m/x.png", r"1 of 2 files listed in .*train.txt are missing: .*m/x.png"),
        ("train.txt", "\n", r"train.txt is empty"),
        ("train.csv", "file,mask\n1,2", r"has no column image, only file, mask"),
    ],
)
def test_what_is_wrong_with_a_list_is_told(file, content, told, root):
    (root / file).write_text(content)
    with pytest.raises(DataError, match=told):
        pairs(root, file)("train")


def test_a_missing_list_is_told_with_what_is_there(root):
    with pytest.raises(DataError, match=r"no.txt does not exist; .*its folder holds i/, m/"):
        lines_of(root / "no.txt")


@pytest.mark.parametrize("line", ["a", '"a"', "a 1 2 3", "/i/a.jpg /m/a.png"])
def test_names_are_quoted_followed_by_numbers_or_part_of_a_path(line, root):
    (root / "val.txt").write_text(line)
    (record,) = NamedFiles(root, "{split}.txt", "i", "m", columns=True)("val")
    assert (record.name, record.image, record.mask) == ("a", root / "i/a.jpg", root / "m/a.png")


def test_names_with_spaces_are_whole_where_nothing_follows(root):
    (root / "val.txt").write_text('b c\n"a"\n')
    assert [record.name for record in NamedFiles(root, "{split}.txt", "i", "m")("val")] == ["b c", "a"]


def test_names_without_files_and_names_listed_twice_are_told(root):
    (root / "val.txt").write_text("a\nx\n")
    with pytest.raises(DataError, match=r"1 of 2 files listed in .*val.txt are missing: x; expected files in .*/i"):
        NamedFiles(root, "{split}.txt", "i", "m")("val")
    (root / "val.txt").write_text("a\na\n")
    with pytest.raises(DataError, match="lists a more than once"):
        NamedFiles(root, "{split}.txt", "i", "m")("val")
    (root / "val.txt").write_text("a\n")
    (root / "m/a.png").unlink()
    with pytest.raises(DataError, match=r"are missing: a; expected files in .*/m"):
        NamedFiles(root, "{split}.txt", "i", "m")("val")


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_a_table_may_start_with_a_comment_and_have_spaces_around_its_columns(suffix, root):
    rows = [("mask ", " image", " split "), ("m/a.png", "i/a.jpg ", "train"), ("", "i/b c.jpg", "test")]
    separator = {"csv": ",", "tsv": "\t"}[suffix]
    lines = ["# made by hand", "", *(separator.join(row) for row in rows)]
    (root / f"all.{suffix}").write_text("\n".join(lines))
    listing = pairs(root, f"all.{suffix}")
    assert listing.has_splits()
    assert [(record.name, record.mask) for record in listing("train")] == [("i/a", root / "m/a.png")]
    assert [(record.name, record.mask) for record in listing("test")] == [("i/b c", None)]
