from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xseg.errors import DataError
from xseg.predict.sources import _Found, _names, expand_sources


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A folder to work in; returns a function that makes empty files below it."""
    monkeypatch.chdir(tmp_path)

    def make(*names):
        for name in names:
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"")
        return tmp_path

    return make


def named(*arguments, **options):
    return {source.path.as_posix(): source.name for source in expand_sources(arguments, **options)}


def test_a_folder_is_searched_to_the_bottom_and_keeps_its_structure(tree):
    tree("in/b.PNG", "in/a.jpg", "in/deep/er/c.tif", "in/notes.txt", "in/.hidden.png", "in/.git/d.png")
    assert list(named("in").items()) == [("in/a.jpg", "a"), ("in/b.PNG", "b"), ("in/deep/er/c.tif", "deep/er/c")]


def test_files_and_globs_keep_their_order_and_each_file_comes_once(tree):
    tree("z.png", "in/a.jpg", "in/sub/b.jpg", "in/sub/c.png")
    assert list(named("z.png", "in/**/*.jpg", "in/a.jpg").items()) == [
        ("z.png", "z"),
        ("in/a.jpg", "a"),
        ("in/sub/b.jpg", "sub/b"),
    ]


def test_names_with_dots_are_not_cut(tree):
    tree("in/v1.0.png", "in/v1.1.png")
    assert list(named("in").values()) == ["v1.0", "v1.1"]


def test_the_same_stem_in_two_suffixes_keeps_the_suffix(tree):
    tree("in/a.jpg", "in/a.png", "in/b.png", "in/a.jpg.png")
    assert named("in") == {"in/a.jpg": "a.jpg", "in/a.png": "a.png", "in/b.png": "b", "in/a.jpg.png": "a.jpg.png"}


def test_the_same_name_in_two_folders_keeps_the_folders(tree):
    tree("x/images/a.png", "x/images/b.png", "y/images/a.png")
    assert list(named("x/images", "y/images").values()) == ["x/images/a", "x/images/b", "y/images/a"]
    assert list(named("x/images/a.png", "y/images/a.png").values()) == ["x/images/a", "y/images/a"]
    assert list(named("x/images", "y/images/a.png", "x/images/b.png").values()) == [
        "x/images/a",
        "x/images/b",
        "y/images/a",
    ]


PATHS = st.lists(
    st.tuples(
        st.sampled_from(["", "p/", "q/", "p/q/"]),
        st.sampled_from(["a", "a.jpg", "b"]),
        st.sampled_from([".jpg", ".png"]),
    ),
    min_size=1,
    max_size=8,
    unique=True,
)


@settings(deadline=None)
@given(PATHS, st.sampled_from(["", "p"]))
def test_names_are_unique_relative_and_stay_inside(parts, root):
    paths = [Path("/data", f"{folder}{stem}{suffix}") for folder, stem, suffix in parts]
    top = Path("/data", root)
    names = _names([_Found(path, top if path.is_relative_to(top) else path.parent) for path in paths])
    assert len(set(names)) == len(paths)
    for name in names:
        assert not name.startswith("/")
        assert ".." not in name.split("/")


def test_a_list_names_files_folders_and_globs_beside_it_or_here(tree):
    root = tree("lists/own/a.png", "lists/own/b.png", "here/c.png", "lists/d.jpg")
    (root / "lists" / "list.txt").write_text(
        "\ufeff# comment\n\nown\n d.jpg \nhere/c.png\nmissing.png\n*.jpg\n", "utf-8"
    )
    assert named("@lists/list.txt") == {
        "lists/own/a.png": "a",
        "lists/own/b.png": "b",
        "lists/d.jpg": "d",
        "here/c.png": "c",
        "lists/missing.png": "missing",
    }


def test_a_file_that_is_named_outright_is_taken_whatever_its_suffix(tree):
    tree("film.mp4", "in/film.mp4", "in/a.png")
    assert named("film.mp4", "in") == {"film.mp4": "film", "in/a.png": "a"}


def test_videos_are_taken_by_name_and_by_glob_but_not_out_of_a_folder_of_images(tree):
    tree("in/film.MP4", "in/a.png")
    kinds = {source.path.name: source.kind for source in expand_sources(["in/*"])}
    assert kinds == {"a.png": "image", "film.MP4": "video"}
    assert [source.path.name for source in expand_sources(["in"])] == ["a.png"]


def test_a_number_is_a_camera_unless_there_is_such_a_file(tree):
    (camera,) = expand_sources(["0"])
    assert (str(camera.path), camera.name, camera.kind) == ("0", "0", "camera")
    tree("1")
    assert expand_sources(["1"])[0].kind == "image"


def test_an_empty_folder_with_an_images_name_is_taken_so_that_it_is_told(tree):
    root = tree("in/a.png", "in/full.png/b.png")
    (root / "in" / "empty.png").mkdir()
    assert set(named("in")) == {"in/a.png", "in/full.png/b.png", "in/empty.png"}


def test_a_name_with_glob_letters_that_exists_is_a_file(tree):
    tree("photo[1].png", "photo1.png")
    assert named("photo[1].png") == {"photo[1].png": "photo[1]"}


def test_earlier_outputs_are_not_searched(tree):
    tree("in/a.png", "in/out/masks/a.png")
    assert named("in", exclude="in/out") == {"in/a.png": "a"}


def test_a_link_that_leads_back_up_ends(tree):
    root = tree("in/a.png")
    (root / "in" / "loop").symlink_to(root / "in")
    assert list(named("in").values()) == ["a"]


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("nowhere", "nowhere does not exist"),
        ("empty", "empty holds no image"),
        ("in/*.gif", r"in/\*.gif matches no image"),
        ("@nothing.txt", "nothing.txt cannot be read as a list"),
        ("@in/a.png", "in/a.png is an empty list"),
    ],
)
def test_what_names_nothing_is_refused_by_name(tree, argument, message):
    root = tree("in/a.png")
    (root / "empty").mkdir()
    with pytest.raises(DataError, match=message):
        expand_sources(["in", argument])
    with pytest.raises(DataError, match="matches no image"):
        expand_sources(["in"], exclude="in")
