import json

import pytest
import yaml

from xseg.cli import main
from xseg.cli.demo import DemoOptions


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    root = tmp_path_factory.mktemp("demo") / "demo"
    assert main(["demo", "--output_dir", str(root), "--epochs", "1", "--scenes", "8"]) == 0
    return root


def test_the_demo_leaves_data_run_scores_and_pictures(demo):
    assert (demo / "report.html").read_text().lower().startswith("<!doctype html>")
    assert "Validation mIoU" in (demo / "report.html").read_text(), "the training's curves"
    assert len(list((demo / "data" / "train" / "images").iterdir())) == 8
    assert set(json.loads((demo / "metrics.json").read_text())["classes"]) >= {"road", "car"}
    assert (demo / "run" / "best" / "model.safetensors").is_file()
    assert len(list((demo / "predictions" / "masks").iterdir())) == 1
    assert len(list((demo / "predictions" / "overlays").iterdir())) == 1


def test_the_demos_folder_is_a_model(demo, tmp_path, capsys):
    photo = next((demo / "data" / "test" / "images").iterdir())
    assert main(["predict", str(demo), str(photo), "--output_dir", str(tmp_path / "masks")]) == 0
    assert len(list((tmp_path / "masks" / "masks").iterdir())) == 1
    assert main(["evaluate", str(demo), "--split", "test"]) == 0, "the run's options of the data hold"
    again = demo / "run" / "evaluation" / "test" / "metrics.json"
    scores = [json.loads(path.read_text())["miou"] for path in (again, demo / "metrics.json")]
    assert scores[0] == scores[1]
    assert "Validation mIoU" in again.with_name("report.html").read_text(), "with the training's curves"
    capsys.readouterr()


def test_the_run_can_be_made_again_from_its_configuration(demo):
    config = yaml.safe_load((demo / "run" / "config.yaml").read_text())
    assert config["data"]["root"] == str(demo / "data")
    assert config["trainer"]["max_epochs"] == 1


def test_a_demo_is_replaced_only_if_that_is_meant(demo, capsys):
    arguments = ["demo", "--output_dir", str(demo), "--epochs", "1", "--scenes", "8"]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "--overwrite" in error
    (demo / "predictions" / "masks" / "old.png").write_text("x")
    assert main([*arguments, "--overwrite"]) == 0
    assert not (demo / "predictions" / "masks" / "old.png").exists()
    out = capsys.readouterr().out
    assert "scenes of 128x192 pixels (height x width)" in out
    assert out.splitlines()[-1].endswith(f"open {demo / 'report.html'}")


def test_somebody_elses_folder_is_left_alone(tmp_path, capsys):
    (tmp_path / "thesis.docx").write_text("x")
    for more in ([], ["--overwrite"]):
        assert main(["demo", "--output_dir", str(tmp_path), *more]) == 2
        assert "choose another with --output_dir" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.docx"]


@pytest.mark.parametrize("arguments", [["--epochs", "0"], ["--scenes", "-3"], ["--epoch", "3"]])
def test_a_mistake_is_one_line(tmp_path, capsys, arguments):
    assert main(["demo", "--output_dir", str(tmp_path / "demo"), *arguments]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "demo").exists()


def test_the_defaults_train_in_about_two_minutes():
    """Two cores take about 0.4 seconds a step of 8 scenes; 256 steps reach the scores that are promised."""
    assert DemoOptions().epochs * DemoOptions().scenes // 8 == 256


@pytest.mark.parametrize(
    ("chosen", "said"),
    [(["--encoder", "resnet43"], "did you mean resnet34"), (["--architecture", "unnet"], "did you mean unet")],
)
def test_an_impossible_model_is_refused_before_anything_is_written(chosen, said, tmp_path, capsys):
    assert main(["demo", "--output_dir", str(tmp_path / "demo"), *chosen]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "demo").exists()


def test_any_encoder_and_architecture_take_the_place_of_xception(tmp_path):
    chosen = ["--encoder", "resnet18", "--architecture", "linknet", "--epochs", "1", "--scenes", "1"]
    assert main(["demo", "--output_dir", str(tmp_path / "demo"), *chosen]) == 0
    model = json.loads((tmp_path / "demo" / "run" / "best" / "config.json").read_text())["model"]
    assert (model["encoder"], model["architecture"]) == ("resnet18", "linknet")
