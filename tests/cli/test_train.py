import csv
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
import yaml

from xseg.bundles.bundle import load_bundle
from xseg.cli import main
from xseg.errors import ConfigError

TINY = [
    "--model.encoder", "xception", "--model.width", "0.125", "--model.decoder_channels", "8", "--model.depth", "3",
    "--model.output_stride", "8", "--data.reader", "scenes", "--data.layout.scenes.size", "[33,48]",
    "--data.layout.scenes.counts", "[4,2,2]", "--data.crop", "[33,48]", "--data.batch_size", "2", "--data.workers", "0",
    "--trainer.accelerator", "cpu",
]  # fmt: skip
RUN_FILES = {
    "best", "last.ckpt", "previous.ckpt", "config.yaml", "counts.json", "metrics.csv", "metrics.json", "per_image.csv",
    "environment.json", "report.html", "tensorboard", "pictures",
}  # fmt: skip


def train(run, *arguments):
    return main(["train", *TINY, "--output_dir", str(run), *map(str, arguments)])


def weights(run):
    return torch.load(run / "last.ckpt", weights_only=True)["state_dict"]


def table(run):
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    run = tmp_path_factory.mktemp("train") / "run"
    averaged = ["--model.ema_decay", "0.5", "--model.loss.class_weights", "inverse_sqrt"]
    assert train(run, "--trainer.max_epochs", 2, *averaged) == 0
    return run


def test_a_training_leaves_everything(finished):
    assert {path.name for path in finished.iterdir()} == RUN_FILES
    assert list(finished.joinpath("tensorboard").glob("events.out*"))
    assert [row["epoch"] for row in table(finished)] == ["1", "2"]
    assert json.loads((finished / "environment.json").read_text())["data"]["train"]["records"] == 4
    assert "Validation mIoU" in (finished / "report.html").read_text(), "the curves"
    bundle = load_bundle(finished / "best")
    best = max(float(row["val/miou"]) for row in table(finished))
    assert bundle.provenance["val_miou"] == pytest.approx(best, abs=1e-6)
    scores = json.loads((finished / "metrics.json").read_text())
    assert scores["miou"] == pytest.approx(best, abs=1e-4)
    assert scores["evaluated"]["data"]["reader"] == "scenes"


def test_the_class_weights_were_measured(finished):
    measured = weights(finished)["objective.class_weights"]
    assert measured.min() < 1 < measured.max()


def test_the_configuration_makes_the_same_run_again(finished, tmp_path):
    again = tmp_path / "again"
    assert main(["train", "--config", str(finished / "config.yaml"), "--output_dir", str(again)]) == 0
    assert all(
        torch.equal(one, other) for one, other in zip(weights(finished).values(), weights(again).values(), strict=True)
    )
    ours, theirs = (yaml.safe_load((run / "config.yaml").read_text()) for run in (finished, again))
    assert {**ours, "output_dir": None} == {**theirs, "output_dir": None}


def test_a_longer_training_goes_on_where_the_last_one_stopped(finished, tmp_path, capsys):
    """The rates of both follow a schedule without end, so that the first epoch is the same."""
    whole, half = tmp_path / "whole", tmp_path / "half"
    constant = ["--model.schedule.power", 0, "--model.ema_decay", 0.5]
    assert train(whole, "--trainer.max_epochs", 2, *constant) == 0
    assert train(half, "--trainer.max_epochs", 1, *constant) == 0
    shown = capsys.readouterr().out
    resume = ["--config", half / "config.yaml", "--resume", half / "last.ckpt", "--trainer.max_epochs", 2]
    assert main(["train", *map(str, resume)]) == 0
    assert all(
        torch.equal(one, other) for one, other in zip(weights(whole).values(), weights(half).values(), strict=True)
    )
    told = capsys.readouterr()
    assert [row["epoch"] for row in table(half)] == ["1", "2"]
    assert [row["val/miou"] for row in table(half)] == [row["val/miou"] for row in table(whole)]
    assert len(re.findall(r"^epoch 2/2 .*images/s .*left$", shown + told.out, re.MULTILINE)) == 2


def test_more_epochs_raise_the_learning_rate_and_both_rates_are_printed(finished, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    again = ["train", "--config", run / "config.yaml", "--output_dir", run, "--resume", run / "last.ckpt"]
    assert main([*map(str, again), "--trainer.max_epochs", "4"]) == 0
    rate = 1e-3 * (1 - 4 / 8) ** 0.9
    assert f"raises the learning rate from 0 to {rate:.3g}" in capsys.readouterr().err
    assert float(table(run)[2]["lr"]) < rate, "the last step of the third epoch"


def test_an_older_run_is_not_mixed_with_a_new_one(finished, capsys):
    assert train(finished) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "--overwrite" in error
    assert "--resume" in error


def test_without_options_it_says_what_is_missing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "root" in error


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "wrong.yaml"

    def write(text):
        path.write_text(text)
        return str(path)

    return write


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model.encodr", "xception"], "unknown option 'model.encodr'; did you mean 'model.encoder'?"),
        (["--lr", "3"], "unknown option 'lr'; did you mean 'model.optimizer.lr'?"),
        (["--trainer.max_epoch", "3"], "unknown option 'trainer.max_epoch'; did you mean 'trainer.max_epochs'?"),
        (["--model.width", "wide"], "model.width=wide; expected float"),
        (["--model.ema_decay", "much"], "model.ema_decay=much; expected float, null"),
        (["--trainer.max_epochs", "many"], "trainer.max_epochs=many; expected int, null"),
        (["--model.optimizer.lr", "-1"], "learning rates [-1.0]"),
        (["--model.encoder", "xseption"], "xseption"),
        (["--model.optimizer.name", "adam"], "optimizer.name='adam'; expected one of adamw, sgd, rmsprop, or a class"),
        (["--model.schedule.name", "cosine"], "schedule.name='cosine'; expected one of poly, exponential, constant"),
        (["--config", "missing.yaml"], "'missing.yaml' cannot be read: No such file"),
        (["--data.reader", "camvid", "--data.root", "nowhere"], "nowhere"),
        (["--resume", "missing.ckpt"], "resume=missing.ckpt does not exist"),
        (["--model.encoder_weights", "missing.keras"], "missing.keras"),
        (["--run.monitor", "val/iou/nothing"], "run.monitor='val/iou/nothing'"),
        (["--trainer.accelerator", "tpu"], "trainer.accelerator=tpu: this machine has none; expected"),
        (["--trainer.devices", "0"], "trainer: "),
    ],
)
def test_a_mistake_is_one_line_and_status_2_and_leaves_nothing(tmp_path, capsys, arguments, message):
    assert train(tmp_path / "run", "--trainer.max_epochs", 1, *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("xseg train: error: ")
    assert error.count("\n") == 1
    assert message in error
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_a_missing_gpu_is_one_line(tmp_path, capsys):
    assert train(tmp_path / "run", "--trainer.accelerator", "gpu") == 2
    error = capsys.readouterr().err
    assert "trainer.accelerator=gpu: this machine has none; expected" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_start_that_fails_before_the_first_step_leaves_nothing(tmp_path, capsys, monkeypatch):
    from xseg.training.segmentation import SegmentationTask

    def refuse(_task):
        raise ConfigError("no", expected="yes")

    with monkeypatch.context() as patch:
        patch.setattr(SegmentationTask, "on_fit_start", refuse)
        assert train(tmp_path / "run", "--trainer.max_epochs", 1) == 2
    assert not (tmp_path / "run").exists()
    assert train(tmp_path / "run", "--trainer.max_epochs", 1) == 0, "nothing refuses the next start"


def test_a_resumed_start_that_fails_keeps_the_run(finished, tmp_path, monkeypatch):
    from xseg.training.segmentation import SegmentationTask

    def refuse(_task):
        raise ConfigError("no", expected="yes")

    run = tmp_path / "run"
    shutil.copytree(finished, run)
    monkeypatch.setattr(SegmentationTask, "on_fit_start", refuse)
    again = ["train", "--config", run / "config.yaml", "--output_dir", run, "--resume", run / "last.ckpt"]
    assert main([*map(str, again)]) == 2
    assert {path.name for path in run.iterdir()} == RUN_FILES


def test_the_reader_is_made_once_and_every_mask_is_looked_at_once(tmp_path, monkeypatch):
    from xseg.data.generated.scenes import write_scenes
    from xseg.data.readers import folder

    write_scenes(tmp_path / "data", counts=(4, 2, 1), size=(33, 48))
    looks, made, create = Counter(), [], folder.create

    def counting(options):
        reader = create(options)
        inspect = reader.inspect

        def look(record):
            looks[record.image] += 1
            return inspect(record)

        monkeypatch.setattr(type(reader), "inspect", lambda _reader, record: look(record))
        made.append(reader)
        return reader

    monkeypatch.setattr(folder, "create", counting)
    data = ["--data.reader", "folder", "--data.root", tmp_path / "data", "--model.loss.class_weights", "inverse_sqrt"]
    assert train(tmp_path / "run", *data, "--trainer.max_epochs", 1, "--data.sampling", "class_aware") == 0
    assert len(made) == 1
    assert set(looks.values()) == {1}
    assert len(looks) == 6


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model:\n  encodr: xception\n", "unknown option 'model.encodr' in"),
        ("modle:\n  encoder: xception\n", "did you mean 'model.encoder'?"),
        ("trainer:\n  max_epoch: 3\n", "did you mean 'trainer.max_epochs'?"),
        ("model:\n  optimizer:\n    lr: fast\n", "model.optimizer.lr=fast; expected float"),
        ("model: [1, 2\n", "is not YAML"),
        ("just words\n", "expected options as `name: value`"),
    ],
)
def test_a_mistake_in_a_file_is_told_like_one_on_the_command_line(tmp_path, capsys, config, text, message):
    assert train(tmp_path / "run", "--config", config(text)) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error


def test_a_checkpoint_of_another_model_is_refused(finished, tmp_path, capsys):
    arguments = ["--resume", finished / "last.ckpt", "--model.decoder_channels", 16]
    assert train(tmp_path / "run", "--trainer.max_epochs", 3, *arguments) == 2
    assert "belongs to another model: decoder_channels=8; expected 16" in capsys.readouterr().err
    damaged = tmp_path / "damaged.ckpt"
    damaged.write_bytes((finished / "last.ckpt").read_bytes()[:1000])
    assert train(tmp_path / "other", "--resume", damaged) == 2
    assert "is not a complete checkpoint" in capsys.readouterr().err


def test_ctrl_c_keeps_the_last_epoch(tmp_path, capsys, monkeypatch):
    from xseg.training.segmentation import SegmentationTask

    step = SegmentationTask.training_step

    def interrupted(task, batch, index):
        if task.trainer.current_epoch == 1:
            raise KeyboardInterrupt
        return step(task, batch, index)

    monkeypatch.setattr(SegmentationTask, "training_step", interrupted)
    assert train(tmp_path / "run", "--trainer.max_epochs", 3) == 130
    assert (tmp_path / "run" / "last.ckpt").is_file()
    assert load_bundle(tmp_path / "run" / "best")
    told = capsys.readouterr().err
    assert "stopped at once; resume with: xseg train --config" in told
    assert "Traceback" not in told


def test_auto_goes_on_where_there_is_something_to_go_on_from_and_else_begins(tmp_path, capsys):
    run = tmp_path / "run"
    assert train(run, "--trainer.max_epochs", 1, "--resume", "auto") == 0
    assert "resuming" not in capsys.readouterr().out
    (run / "last.ckpt").write_bytes(b"torn")  # the one before is of no epoch: there is none
    assert train(run, "--trainer.max_epochs", 1, "--resume", "auto") == 2
    assert "is not a complete checkpoint" in capsys.readouterr().err
    (run / "last.ckpt").unlink()
    assert train(run, "--trainer.max_epochs", 1, "--resume", "auto") == 0, "killed before its first checkpoint"


def test_a_torn_checkpoint_is_told_and_the_one_before_is_gone_on_from(finished, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    last = run / "last.ckpt"
    last.write_bytes(last.read_bytes()[:-200])
    assert main(["train", "--config", str(run / "config.yaml"), "--output_dir", str(run), "--resume", str(last)]) == 0
    told = capsys.readouterr()
    assert "the learning rate" not in told.err, "the training is as long as before"
    assert "resuming from previous.ckpt instead" in told.err
    assert "after step 2" in told.out
    state = torch.load(last, weights_only=True)["current_model_state"]
    wanted = torch.load(finished / "last.ckpt", weights_only=True)["current_model_state"]
    assert all(torch.equal(state[name], tensor) for name, tensor in wanted.items())
    environment = json.loads((run / "environment.json").read_text())
    assert len(environment["resumed"]) == 1


def test_other_data_is_noticed_at_resume(finished, capsys):
    other = ["--config", finished / "config.yaml", "--data.layout.scenes.seed", 5, "--resume", finished / "last.ckpt"]
    assert main(["train", *map(str, other)]) == 2
    assert "training images differ from the" in capsys.readouterr().err


def test_environment_and_configuration_are_enough_to_repeat_a_run(finished, tmp_path):
    described = json.loads((finished / "environment.json").read_text())
    config = tmp_path / "again.yaml"
    config.write_text(yaml.safe_dump(described["config"]))
    assert main(["train", "--config", str(config), "--output_dir", str(tmp_path / "again")]) == 0
    pairs = zip(weights(finished).values(), weights(tmp_path / "again").values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    assert described["threads"] >= 1
    assert described["torch"].startswith(described["packages"]["torch"])


def test_the_largest_batch_is_found_and_kept_in_the_configuration(tmp_path, capsys):
    run = tmp_path / "run"
    assert train(run, "--trainer.max_epochs", 1, "--run.find_batch_size", "true") == 0
    assert "data.batch_size=4 is the largest" in capsys.readouterr().err, "there are four images"
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["data"]["batch_size"] == 4
    assert config["run"]["find_batch_size"] is False
    assert table(run)[0]["step"] == "1"


def test_an_optimizer_and_a_schedule_from_outside_train_and_resume(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import torch\nclass Mine(torch.optim.NAdam): pass\n"
        "class Fall(torch.optim.lr_scheduler.CosineAnnealingLR): pass\n"
    )
    mine = ["--model.optimizer.name", f"{tmp_path}/mine.py:Mine", "--model.optimizer.lr", 0.01]
    mine += ["--model.schedule.name", f"{tmp_path}/mine.py:Fall", "--model.schedule.options.T_max", "steps"]
    assert train(tmp_path / "run", "--trainer.max_epochs", 2, *mine) == 0
    rates = [float(row["lr"]) for row in table(tmp_path / "run")]
    assert rates == pytest.approx([0.01 * (1 + 0.5**0.5) / 2, 0.01 * (1 - 0.5**0.5) / 2], rel=1e-5)
    resume = ["--config", tmp_path / "run" / "config.yaml", "--resume", tmp_path / "run" / "last.ckpt"]
    assert main(["train", *map(str, resume), "--trainer.max_epochs", "3"]) == 0


def test_tensorboard_and_the_table_are_there_whatever_logger_is_chosen(tmp_path):
    logger = ["--trainer.logger", "CSVLogger", "--trainer.logger.save_dir", str(tmp_path / "other")]
    assert train(tmp_path / "run", "--trainer.max_epochs", 1, *logger) == 0
    assert list((tmp_path / "run" / "tensorboard").glob("events.out*"))
    assert list((tmp_path / "other").rglob("metrics.csv"))
    assert table(tmp_path / "run")


@pytest.mark.parametrize(
    ("variables", "first"),
    [({}, True), ({"RANK": "0", "LOCAL_RANK": "0"}, True), ({"LOCAL_RANK": "1"}, False), ({"NODE_RANK": "2"}, False)],
)
def test_only_the_first_process_speaks_and_writes(variables, first, monkeypatch):
    from xseg.api.training import is_first_process

    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert is_first_process() == first


def test_help_tells_every_option_without_torch():
    code = (
        "import sys; from xseg.cli import main; status = main(['train', '--help']);"
        "heavy = {'torch', 'lightning', 'cv2', 'albumentations'} & set(sys.modules);"
        "sys.exit(status or (f'imported {heavy}' if heavy else 0))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for option in ("--model.optimizer.encoder_lr", "--data.crop", "--output_dir", "--resume", "--trainer.NAME"):
        assert option in done.stdout
    assert "peak learning rate of the encoder" in " ".join(done.stdout.split())


def test_help_trainer_lists_lightnings_options(capsys):
    assert main(["train", "--help", "trainer"]) == 0
    assert "--trainer.gradient_clip_val" in capsys.readouterr().out


def test_the_door_is_the_verb():
    door = Path(__file__).parents[2] / "tools" / "train.py"
    done = subprocess.run([sys.executable, door, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "--model.encoder" in done.stdout


def test_resume_and_overwrite_contradict_each_other(finished, capsys):
    assert train(finished, "--resume", finished / "last.ckpt", "--overwrite") == 2
    assert "both resume and overwrite" in capsys.readouterr().err
    assert (finished / "last.ckpt").is_file()


def test_overwrite_starts_anew(finished, tmp_path):
    run = tmp_path / "run"
    assert train(run, "--trainer.max_epochs", 2) == 0
    assert train(run, "--trainer.max_epochs", 1, "--overwrite") == 0
    assert {path.name for path in run.iterdir()} == RUN_FILES - {"previous.ckpt"}
    assert len(table(run)) == 1
    assert len(list(run.joinpath("tensorboard").glob("events.out*"))) == 1


def test_wrong_files_are_told_before_anything_is_written(tmp_path, capsys):
    from xseg.data.generated.scenes import write_scenes

    write_scenes(tmp_path / "data", counts=(2, 2, 1), size=(33, 48))
    mask = sorted((tmp_path / "data" / "val" / "masks").iterdir())[1]
    mask.write_bytes(mask.read_bytes()[:60])
    assert train(tmp_path / "run", "--data.reader", "folder", "--data.root", tmp_path / "data") == 2
    error = capsys.readouterr().err
    assert mask.name in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()
