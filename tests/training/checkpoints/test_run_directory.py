import pytest

from xseg.errors import ConfigError
from xseg.training.checkpoints.run_directory import RunDirectory


def filled(folder):
    run = RunDirectory(folder)
    run.best.mkdir(parents=True)
    run.tensorboard.mkdir()
    run.top.mkdir()
    run.pictures.mkdir()
    for file in (
        run.previous_checkpoint,
        run.bad_batch,
        run.last_checkpoint,
        run.metrics,
        run.environment,
        run.report,
        run.config,
    ):
        file.write_text("x")
    return run


@pytest.mark.parametrize("resume", [False, True])
def test_a_new_or_empty_folder_is_free(tmp_path, resume):
    RunDirectory(tmp_path / "new").require_free(resume=resume, overwrite=False)
    RunDirectory(tmp_path).require_free(resume=resume, overwrite=False)


def test_an_older_run_needs_to_be_meant(tmp_path):
    run = filled(tmp_path)
    with pytest.raises(ConfigError, match=r"--resume .*last.ckpt.*--overwrite"):
        run.require_free(resume=False, overwrite=False)
    run.require_free(resume=True, overwrite=False)
    run.require_free(resume=False, overwrite=True)


def test_no_checkpoint_is_recommended_that_does_not_exist(tmp_path):
    run = filled(tmp_path)
    run.last_checkpoint.unlink()
    run.previous_checkpoint.unlink()
    with pytest.raises(ConfigError, match="--overwrite") as error:
        run.require_free(resume=False, overwrite=False)
    assert "--resume" not in str(error.value)


def test_what_is_no_run_is_never_overwritten(tmp_path):
    (tmp_path / "thesis.docx").write_text("x")
    with pytest.raises(ConfigError, match="other files than a run"):
        RunDirectory(tmp_path).require_free(resume=False, overwrite=True)
    with pytest.raises(ConfigError, match="is a file"):
        RunDirectory(tmp_path / "thesis.docx").require_free(resume=True, overwrite=True)


def test_clearing_leaves_what_is_not_of_a_run(tmp_path):
    run = filled(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    run.clear()
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_what_a_killed_training_had_begun_is_swept_away_and_nothing_else(tmp_path):
    run = filled(tmp_path)
    kept = sorted(path.name for path in tmp_path.iterdir())
    for name in (".0123456789ab.ckpt", ".0123456789ab.csv", ".previous.ckpt"):
        (tmp_path / name).write_text("half")
    (run.pictures / ".0123456789ab.png").write_text("half")
    (tmp_path / ".best-x1y2" / "bundle").mkdir(parents=True)
    (run.top / ".epoch_0003-x1y2" / "bundle").mkdir(parents=True)
    (tmp_path / ".gitignore").write_text("*")
    run.sweep()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*kept, ".gitignore"])
    assert not list(run.pictures.iterdir())
    assert not list(run.top.iterdir())


def test_a_bundle_that_was_just_being_replaced_is_put_back(tmp_path):
    run = RunDirectory(tmp_path)
    (tmp_path / ".best-x1y2" / "replaced").mkdir(parents=True)
    (tmp_path / ".best-x1y2" / "replaced" / "config.json").write_text("old")
    run.sweep()
    assert (run.best / "config.json").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["best"]
