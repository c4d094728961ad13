import json

from xseg.data.layout import LayoutOptions, SceneOptions
from xseg.data.options import DataOptions
from xseg.data.readers.registry import create_reader
from xseg.training.environment import data_fingerprint, describe_environment


def folder_data(root, sizes=(8, 8), names=("a", "b")):
    import numpy as np
    from PIL import Image

    for kind, channels in (("images", (3,)), ("masks", ())):
        folder = root / "train" / kind
        folder.mkdir(parents=True)
        for name in names:
            Image.fromarray(np.zeros((*sizes, *channels), np.uint8)).save(folder / f"{name}.png")
    (root / "classes.txt").write_text("one\ntwo\n")
    return create_reader(DataOptions(reader="folder", root=str(root)))


def scenes(seed):
    layout = LayoutOptions(scenes=SceneOptions(counts=(2, 2, 2), seed=seed))
    return create_reader(DataOptions(reader="scenes", layout=layout))


def test_the_same_data_has_the_same_fingerprint_wherever_it_is(tmp_path):
    one, other = folder_data(tmp_path / "one"), folder_data(tmp_path / "elsewhere")
    assert data_fingerprint(one, "train") == data_fingerprint(other, "train")
    assert data_fingerprint(one, "train")["records"] == 2


def test_other_data_has_another(tmp_path):
    readers = [
        folder_data(tmp_path / "one"),
        folder_data(tmp_path / "names", names=("a", "c")),
        folder_data(tmp_path / "sizes", sizes=(8, 90)),
        folder_data(tmp_path / "fewer", names=("a",)),
        scenes(seed=0),
        scenes(seed=1),
    ]
    assert len({data_fingerprint(reader, "train")["sha256"] for reader in readers}) == len(readers)


def test_a_split_that_is_not_there_has_none(tmp_path):
    assert data_fingerprint(folder_data(tmp_path), "test") is None


def test_the_description_is_json_with_what_is_needed_to_compare(tmp_path):
    described = describe_environment(folder_data(tmp_path), seed=7, config={"model": {"encoder": "xception"}})
    assert json.loads(json.dumps(described)) == described
    assert described["seed"] == 7
    assert set(described["data"]) == {"train"}
    assert described["packages"]["torch"]
    assert described["hardware"]["cpu"]
    assert described["hardware"]["cores"] >= 1
