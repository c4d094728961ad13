"""A class path gives the object it names, or one line that says why not."""

import sys

import pytest

from xseg.errors import ConfigError
from xseg.files.objects import absolute_class_paths, is_class_path, load_object


def test_names_without_dot_or_colon_belong_to_registries():
    assert not is_class_path("dice")
    assert is_class_path("my.module.Dice")
    assert is_class_path("dice.py:Dice")


def test_dotted_paths_are_imported_from_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "own_module_for_objects.py").write_text("class Own:\n    pass\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert load_object("own_module_for_objects.Own").__name__ == "Own"
    assert load_object("collections.OrderedDict") is __import__("collections").OrderedDict


def test_a_file_is_imported_once_and_files_of_one_name_coexist(tmp_path, monkeypatch):
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "own.py").write_text(f"class Own:\n    folder = {folder!r}\n")
    monkeypatch.chdir(tmp_path)
    first = load_object("first/own.py:Own")
    assert load_object("first/own.py:Own") is first
    assert load_object(f"{tmp_path}/second/own.py:Own").folder == "second"
    assert first.folder == "first"


def test_class_paths_of_files_become_absolute_wherever_they_stand_in_options(tmp_path, monkeypatch):
    (tmp_path / "own.py").touch()
    monkeypatch.chdir(tmp_path)
    options = {"terms": {"own.py:Loss": 0.5}, "list": [{"name": "own.py:f", "p": 1}], "other": ["a:b", "own.py", None]}
    here = f"{tmp_path}/own.py"
    expected = {
        "terms": {f"{here}:Loss": 0.5},
        "list": [{"name": f"{here}:f", "p": 1}],
        "other": ["a:b", "own.py", None],
    }
    assert absolute_class_paths(options) == expected


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("no_such_package.Name", "no module named"),
        ("not a path.Name", "expected `package.module.Name`"),
        ("absent.py:Name", "no file absent.py"),
        ("broken.py:Name", "ZeroDivisionError"),
        ("fine.py:Missing", "expected one of Present"),
        ("collections.Missing", "has no 'Missing'"),
    ],
)
def test_a_wrong_path_is_one_line(tmp_path, monkeypatch, path, words):
    (tmp_path / "broken.py").write_text("1 / 0\n")
    (tmp_path / "fine.py").write_text("Present = 1\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=words) as caught:
        load_object(path)
    assert "\n" not in str(caught.value)


def test_a_file_that_was_edited_is_imported_again(tmp_path):
    for value in (1, 2):
        (tmp_path / "edited.py").write_text(f"class Own:\n    value = {value}\n")
        assert load_object(f"{tmp_path}/edited.py:Own").value == value
