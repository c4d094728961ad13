import pytest

from xseg.errors import ConfigError
from xseg.training.run_directory import RunDirectory


def filled(folder):
    run = RunDirectory(folder)
    run.best.mkdir(parents=True)
    run.tensorboard.mkdir()
    for file in (run.last_checkpoint, run.metrics, run.environment, run.report, run.config):
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


def test_what_is_no_run_is_never_overwritten(tmp_path):
    (tmp_path / "thesis.docx").write_text("x")
    with pytest.raises(ConfigError, match="something else than a run"):
        RunDirectory(tmp_path).require_free(resume=False, overwrite=True)
    with pytest.raises(ConfigError, match="is a file"):
        RunDirectory(tmp_path / "thesis.docx").require_free(resume=True, overwrite=True)


def test_clearing_leaves_what_is_not_of_a_run(tmp_path):
    run = filled(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    run.clear()
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
