from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xseg.cli.train_options import parse_request

CONFIGS = Path(__file__).parents[1] / "configs"
DATA = ("camvid", "scenes", "folder")  # the others are read in tests/data/readers/test_configurations.py
FILES = sorted(
    file
    for file in CONFIGS.rglob("*.yaml")
    if file.parent.name != "classification" and (file.parent.name != "data" or file.stem in DATA)
)
SHIPPED = Path(__file__).parents[1] / "xseg" / "cli" / "demo.yaml"


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    """Two small data sets, one in each layout."""
    roots = {}
    for reader, images, masks in (("camvid", "{}", "{}annot"), ("folder", "{}/images", "{}/masks")):
        root = roots[reader] = tmp_path_factory.mktemp(reader)
        for split in ("train", "val"):
            for kind, shape in ((images, (48, 64, 3)), (masks, (48, 64))):
                folder = root / kind.format(split)
                folder.mkdir(parents=True)
                for index in range(2):
                    Image.fromarray(np.full(shape, index, np.uint8)).save(folder / f"{index}.png")
    (roots["folder"] / "classes.txt").write_text("one\ntwo\n")
    return roots


def command(files, roots, folder):
    arguments = [argument for file in files for argument in ("--config", str(file))]
    reader = parse_request(arguments).data.reader
    root = ["--data.root", str(roots[reader])] if reader in roots else []
    here = ["--trainer.accelerator", "cpu", "--data.workers", "0", "--output_dir", str(folder / "run")]
    return [*arguments, *root, *here]


def names(path):
    return path.name if path == SHIPPED else str(path.relative_to(CONFIGS))


@pytest.mark.parametrize("file", [*FILES, SHIPPED], ids=names)
def test_every_configuration_makes_a_model_data_and_a_trainer(file, roots, tmp_path):
    from xseg.cli.lightning_cli import TrainCLI

    arguments = command([file], roots, tmp_path)
    # the size of the network is not what a configuration can get wrong, and large ones take seconds to build
    small = ["--model.width", "0.125", "--model.encoder_weights", "null"]
    cli = TrainCLI([*arguments, *small], parse_request([*arguments, *small]))
    cli.datamodule.setup("fit")
    assert len(cli.datamodule.train_dataloader()) > 0
    assert cli.model.model.config.classes == len(cli.reader.labels)
    assert cli.trainer.max_epochs > 0
    assert not (tmp_path / "run").exists(), "nothing is written before training"


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("trainer", ["cpu", "gpu"])
def test_fragments_compose(data, trainer, roots, tmp_path):
    files = [CONFIGS / f"{name}.yaml" for name in ("model/xception_small", f"data/{data}", f"trainer/{trainer}")]
    request = parse_request(command(files, roots, tmp_path))
    assert request.task.width == 0.25
    assert request.data.reader == data


def test_the_experiment_is_the_one_that_is_described():
    """45 whole batches of 8 in CamVid's 367 images, for 8 epochs."""
    request = parse_request(["--config", str(CONFIGS / "experiments" / "camvid_xception_os16_320_8ep.yaml")])
    assert 367 // request.data.batch_size == 45
    assert request.data.crop == (320, 320)
    assert request.task.output_stride == 16
    assert request.task.optimizer.encoder_lr == pytest.approx(1e-3)


def test_all_configurations_are_found():
    folders = {file.parent.name for file in FILES}
    assert folders == {"model", "data", "trainer", "experiments"}
