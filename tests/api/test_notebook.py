"""The notebook of the docs, and the same training by the command line.

Its cells are executed here, in order and in one namespace: they have no magics, and a kernel would be a further
dependency of the tests.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from xseg.cli import main

NOTEBOOK = json.loads((Path(__file__).parents[2] / "docs" / "notebooks" / "vessels.ipynb").read_text("utf-8"))
CELLS = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
OWN = [cell for cell in CELLS if "own" in cell["metadata"].get("tags", ())]


def source(cell):
    return "".join(cell["source"])


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    """The folder in which the notebook ran, and its variables."""
    folder = tmp_path_factory.mktemp("notebook")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        names = {"__name__": "__main__"}
        for cell in CELLS:
            exec(compile(source(cell), "vessels.ipynb", "exec"), names)
    return folder, names


def test_it_has_no_outputs():
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in CELLS)


def test_it_learns_to_find_vessels(notebook):
    folder, names = notebook
    run, scores = names["run"], names["evaluation"].scores
    assert [row["epoch"] for row in run.history] == [1, 2, 3, 4, 5]
    assert run.best.score == max(row["val/miou"] for row in run.history) > 0.6
    assert scores.overall["miou"] > 0.6
    assert 0.5 < scores.overall["vessel_length"] < 2, "its own metric"
    saved = np.asarray(Image.open(folder / "mask.png"))
    np.testing.assert_array_equal(saved, names["prediction"].mask)
    assert set(np.unique(saved)) == {0, 1}


def test_the_command_line_trains_the_same_weights_bit_for_bit(notebook, tmp_path, monkeypatch):
    folder, names = notebook
    monkeypatch.chdir(tmp_path)
    for split in ("train", "val"):
        for kind, arrays in zip(("images", "masks"), names[split], strict=True):
            (tmp_path / split / kind).mkdir(parents=True)
            for index, array in enumerate(arrays):
                Image.fromarray(array.squeeze()).save(tmp_path / split / kind / f"{index:03}.png")
    (tmp_path / "classes.txt").write_text("background\nvessel\n")
    imports = "import numpy as np\nimport torch\nfrom xseg.metrics.metric import Metric\n"
    (tmp_path / "own.py").write_text(imports + "\n".join(map(source, OWN)))
    transforms = '[{"name": "torchvision.transforms.v2.RandomVerticalFlip"}, {"name": "own.py:shade"}]'
    arguments = """--data.reader folder --data.root . --data.channels 1 --data.crop [64,64] --data.scale [0.8,1.25]
        --data.batch_size 4 --data.workers 0 --model.encoder xception --model.width 0.25 --model.decoder_channels 32
        --model.depth 3 --model.output_stride 8 --model.batch_norm_momentum 0.1 --model.optimizer.lr 0.01
        --model.loss.terms {"own.py:MissedVessels":0.2} --run.metrics [own.py:VesselLength] --trainer.max_epochs 5
        --trainer.accelerator cpu --output_dir run"""
    assert main(["train", *arguments.split(), "--data.transforms", transforms]) == 0
    ours, theirs = (
        torch.load(run / "last.ckpt", weights_only=True)["state_dict"]
        for run in (folder / "runs" / "vessels", tmp_path / "run")
    )
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    best = [run / "best" / "model.safetensors" for run in (folder / "runs" / "vessels", tmp_path / "run")]
    assert best[0].read_bytes() == best[1].read_bytes()
