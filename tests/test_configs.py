from pathlib import Path

import pytest
import replicas

from xseg.api.train_options import parse_request

CONFIGS = Path(__file__).parents[1] / "configs"
# those of data sets are tested with the readers, those of classification with it
FILES = sorted(file for folder in ("model", "trainer", "experiments") for file in (CONFIGS / folder).glob("*.yaml"))
SHIPPED = Path(__file__).parents[1] / "xseg" / "cli" / "demo.yaml"


@pytest.fixture(scope="module")
def root_of(tmp_path_factory):
    """Return the function that gives a small copy of the data set that options describe."""
    written = {}

    def root(options):
        name = f"{options.reader}/{options.layout.variant}".rstrip("/")
        name = name if name in replicas.REPLICAS else options.reader
        if name not in written:
            written[name] = tmp_path_factory.mktemp(name.replace("/", "_")) / "root"
            replicas.REPLICAS[name](written[name])
        return written[name]

    return root


def command(files, root_of, folder):
    arguments = [argument for file in files for argument in ("--config", str(file))]
    data = parse_request(arguments).data
    here = ["--trainer.accelerator", "cpu", "--data.workers", "0", "--output_dir", str(folder / "run")]
    return [*arguments, "--data.root", str(root_of(data)), *here]


def names(path):
    return path.name if path == SHIPPED else str(path.relative_to(CONFIGS))


@pytest.mark.parametrize("file", [*FILES, SHIPPED], ids=names)
def test_every_configuration_makes_a_model_data_and_a_trainer(file, root_of, tmp_path):
    from xseg.api.trainer_options import parse_trainer
    from xseg.data.readers.registry import create_reader
    from xseg.training.run.segmentation import SegmentationRun

    arguments = command([file], root_of, tmp_path)
    # the size of the network is not what a configuration can get wrong, and large ones take seconds to build
    small = ["--model.width", "0.125", "--model.encoder_weights", "null", "--model.start_from", "null"]
    request = parse_request([*arguments, *small])
    run = SegmentationRun(request, parse_trainer([*arguments, *small])[0], create_reader(request.data))
    assert len(run.datamodule.train_dataloader()) > 0
    assert run.task.model.config.classes == len(run.reader.labels)
    assert run.trainer.max_epochs > 0
    assert not (tmp_path / "run").exists(), "nothing is written before training"


@pytest.mark.parametrize("data", ["camvid", "scenes", "folder"])
@pytest.mark.parametrize("trainer", ["cpu", "gpu"])
def test_fragments_compose(data, trainer, root_of, tmp_path):
    files = [CONFIGS / f"{name}.yaml" for name in ("model/xception_small", f"data/{data}", f"trainer/{trainer}")]
    request = parse_request(command(files, root_of, tmp_path))
    assert request.model.width == 0.25
    assert request.data.reader == data


EXPERIMENTS = sorted((CONFIGS / "experiments").glob("*.yaml"))


@pytest.mark.parametrize("file", EXPERIMENTS, ids=names)
def test_every_experiment_says_what_to_expect_and_writes_where_its_name_says(file):
    head = file.read_text().partition("seed_everything")[0]
    assert "Expected: " in head
    assert parse_request(["--config", str(file)]).run.path == Path("runs") / file.stem


@pytest.mark.parametrize(
    ("name", "images", "steps"),
    [
        ("camvid_xception_os16_320_8ep", 367, 360),
        ("voc_xception65_os16", 10_582, 30_000),
        ("voc_xception65_os16_coco", 10_582, 30_000),
        ("voc_xception65_os8_trainval", 2_913, 30_000),
        ("coco_xception65_os16", 118_287, 300_000),
        ("cityscapes_xception65_os16", 2_975, 90_000),
        ("cityscapes_xception65_os16_no_pooling", 2_975, 90_000),
        ("cityscapes_xception71_os16_no_pooling", 2_975, 90_000),
        ("ade20k_xception65_os16", 20_210, 150_000),
    ],
)
def test_an_experiment_is_as_long_as_the_published_one(name, images, steps):
    """Whole batches of whole epochs, within two in a hundred, and the last epoch is validated."""
    import yaml

    file = CONFIGS / "experiments" / f"{name}.yaml"
    trainer, batch = yaml.safe_load(file.read_text())["trainer"], parse_request(["--config", str(file)]).data.batch_size
    assert images // batch * trainer["max_epochs"] == pytest.approx(steps, rel=0.02)
    assert trainer["max_epochs"] % trainer["check_val_every_n_epoch"] == 0


def test_published_numbers_are_trained_by_the_published_recipe():
    for file in EXPERIMENTS:
        if not file.stem.startswith("camvid"):
            request = parse_request(["--config", str(file)])
            optimizer = request.model.optimizer
            assert (optimizer.name, optimizer.momentum, optimizer.weight_decay) == ("sgd", 0.9, 4e-5)
            assert (optimizer.bias_multiplier, request.model.schedule.power) == (2.0, 0.9)
            assert (request.data.scale, request.data.scale_step, request.data.flip) == ((0.5, 2.0), 0.25, 0.5)
            assert request.data.batch_size == 16
            assert request.model.batch_norm == ("frozen" if "trainval" in file.stem else "train")
