"""Runs that are killed, interrupted, resumed, or in each other's way."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from silent import Silent

from xseg.bundles.bundle import Bundle, save_bundle
from xseg.errors import ConfigError, DataError
from xseg.images.normalization import Normalization
from xseg.inference.options import InferenceOptions
from xseg.inference.predictor import Predictor
from xseg.labels.label_map import LabelMap
from xseg.models.build import build_model
from xseg.models.config import ModelConfig
from xseg.predict import job as module
from xseg.predict.job import Job
from xseg.predict.manifest import describe_run
from xseg.predict.options import FolderOptions
from xseg.predict.outputs.registry import create_outputs
from xseg.predict.sources import expand_sources
from xseg.predict.table import read_table

SIZES = [(40, 52), (33, 47), (40, 52), (61, 35)]


@pytest.fixture(scope="module")
def model(tmp_path_factory, settled, waves):
    """A bundle of a tiny network whose classes all occur."""
    torch.manual_seed(0)
    network = build_model(ModelConfig(encoder="xception", classes=5, width=0.125, depth=3, decoder_channels=16))
    torch.nn.init.normal_(network.segmentation_head.weight, std=1.0)
    settled(network, waves(2, 3, 65, 65))
    path = tmp_path_factory.mktemp("model") / "bundle"
    save_bundle(Bundle(network, LabelMap(("a", "b", "c", "d", "e")), Normalization()), path)
    return path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Sixteen images of three sizes, and a broken one."""
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for index in range(16):
        height, width = SIZES[index % 4]
        small = Image.fromarray(random.integers(0, 256, (6, 8, 3), np.uint8))
        small.resize((width, height), Image.Resampling.BICUBIC).save(folder / f"{index:02}.png")
    (folder / "zz.png").write_bytes(b"no picture")
    return folder


def make_job(model, pictures, directory, *, batch_size=1, resume=False, overwrite=False, **wanted):
    from xseg.bundles.bundle import load_bundle

    bundle = load_bundle(model)
    options = InferenceOptions(batch_size=batch_size, device="cpu")
    settings = {"labels": bundle.labels, "normalization": bundle.normalization, "options": options}
    outputs = create_outputs(wanted)
    facts = {"device": "cpu", "backend": "torch", "precision": "float32"}
    description = describe_run("digest", options, outputs, **facts)
    sources = expand_sources([str(pictures)], exclude=directory)
    folder = FolderOptions(str(directory), resume=resume, overwrite=overwrite)
    return Job(Predictor(bundle.model, **settings), sources, folder, description, Silent(), outputs)


def hashes(directory):
    """The content of every output but the table, whose seconds differ."""
    files = [path for path in directory.rglob("*") if path.is_file() and path.parent != directory]
    return {str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def table_without_seconds(directory):
    return [replace(row, seconds=None) for row in read_table(directory / "predictions.csv")]


@pytest.fixture(scope="module")
def undisturbed(model, pictures, tmp_path_factory):
    """Return the outputs of a run that nothing interrupts, by batch size."""
    made = {}

    def run(batch_size):
        if batch_size not in made:
            made[batch_size] = tmp_path_factory.mktemp(f"undisturbed{batch_size}")
            make_job(model, pictures, made[batch_size], batch_size=batch_size, overlay=True).run()
        return made[batch_size]

    return run


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("stop", [1, 6, 16])
def test_an_interrupted_run_is_resumed_to_the_same_and_nothing_is_done_twice(
    model, pictures, tmp_path, monkeypatch, undisturbed, batch_size, stop
):
    engine = module.local_engine

    def interrupted(job, requests):
        for count, row in enumerate(engine(job, requests)):
            if count == stop:
                raise KeyboardInterrupt
            yield row

    settings = {"batch_size": batch_size, "overlay": True}
    with pytest.raises(KeyboardInterrupt):
        make_job(model, pictures, tmp_path, **settings).run(interrupted)
    done = {row.path for row in read_table(tmp_path / "predictions.csv") if row.status == "ok"}
    assert stop - 1 <= len(done) <= stop
    written = []
    write = module.PredictionWriter.write

    def noted(self, source, result):
        written.append(str(source.path))
        return write(self, source, result)

    monkeypatch.setattr(module.PredictionWriter, "write", noted)
    make_job(model, pictures, tmp_path, **settings, resume=True).run()
    assert not done & set(written)
    assert len(written) == 16 - len(done)
    assert hashes(tmp_path) == hashes(undisturbed(batch_size))
    assert table_without_seconds(tmp_path) == table_without_seconds(undisturbed(batch_size))


def test_resuming_a_finished_run_computes_nothing_but_tries_what_failed(model, pictures, tmp_path, undisturbed):
    make_job(model, pictures, tmp_path, overlay=True).run()
    job = make_job(model, pictures, tmp_path, overlay=True, resume=True)
    rows = job.run()
    assert job.predictor._backend is None or job.show.done == 17
    assert [row.status for row in rows].count("failed") == 1
    assert len(job.show.messages) == 1
    assert hashes(tmp_path) == hashes(undisturbed(1))


def test_a_mask_that_was_removed_is_made_again(model, pictures, tmp_path, undisturbed):
    make_job(model, pictures, tmp_path, overlay=True).run()
    (tmp_path / "masks" / "03.png").unlink()
    (tmp_path / "overlays" / "04.jpg").unlink()
    make_job(model, pictures, tmp_path, overlay=True, resume=True).run()
    assert hashes(tmp_path) == hashes(undisturbed(1))


def test_resuming_with_something_else_is_refused_and_changes_nothing(model, pictures, tmp_path):
    make_job(model, pictures, tmp_path).run()
    before = hashes(tmp_path), (tmp_path / "predictions.csv").read_bytes()
    with pytest.raises(ConfigError, match="was made with batch_size=1, but this run has batch_size=2"):
        make_job(model, pictures, tmp_path, batch_size=2, resume=True).run()
    other = make_job(model, pictures, tmp_path, resume=True)
    with pytest.raises(ConfigError, match="was made with model=digest, but this run has model=another"):
        replace(other, description=other.description | {"model": "another"}).run()
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(ConfigError, match=r"run\.json cannot be read"):
        other.run()
    assert before == (hashes(tmp_path), (tmp_path / "predictions.csv").read_bytes())


def test_rows_of_an_earlier_run_never_pass_for_those_of_a_run_that_was_killed_at_its_start(
    model, pictures, tmp_path, monkeypatch
):
    make_job(model, pictures, tmp_path).run()
    job = make_job(model, pictures, tmp_path, batch_size=2, overwrite=True)
    for step in ("write_manifest", "local_engine"):

        def killed(*_):
            raise SystemExit

        with monkeypatch.context() as patch:
            patch.setattr(module, step, killed)
            with pytest.raises(SystemExit):
                job.run()
        table = tmp_path / "predictions.csv"
        assert not table.exists() or read_table(table) == []
    assert len(make_job(model, pictures, tmp_path, batch_size=2, resume=True).run()) == 17


def test_without_resume_everything_is_done_again(model, pictures, tmp_path):
    make_job(model, pictures, tmp_path).run()
    job = make_job(model, pictures, tmp_path)
    assert len(job.run()) == job.show.done == 17


def test_another_run_is_refused_and_nothing_changes_but_overwriting_leaves_nothing_of_the_earlier_one(
    model, pictures, tmp_path, undisturbed
):
    (tmp_path / "notes.txt").write_text("mine")
    make_job(model, pictures, tmp_path, overlay=True, polygons=True, coco=True).run()
    before = hashes(tmp_path), (tmp_path / "predictions.csv").read_bytes()
    same = make_job(model, pictures, tmp_path, overlay=True, polygons=True, coco=True)
    others = {
        "was made with coco=True, but this run has coco=False; .*add --overwrite": make_job(
            model, pictures, tmp_path, overlay=True, polygons=True
        ),
        "was made with model=digest, but this run has model=another": replace(
            same, description=same.description | {"model": "another"}
        ),
        "holds a run with other sources": replace(same, sources=same.sources[1:]),
    }
    for message, job in others.items():
        with pytest.raises(ConfigError, match=message):
            job.run()
    assert before == (hashes(tmp_path), (tmp_path / "predictions.csv").read_bytes())
    job = make_job(model, pictures, tmp_path, overlay=True, overwrite=True)
    job.run()
    assert hashes(tmp_path) == hashes(undisturbed(1))
    names = {path.name for path in tmp_path.iterdir() if not path.name.startswith(".")}
    assert names == {"masks", "overlays", "predictions.csv", "run.json", "notes.txt"}


def test_more_sources_may_be_resumed_and_fewer_or_renamed_ones_may_not(model, pictures, tmp_path):
    whole = make_job(model, pictures, tmp_path)
    replace(whole, sources=whole.sources[:5]).run()
    resumed = replace(make_job(model, pictures, tmp_path, resume=True), show=Silent())
    assert len(resumed.run()) == 17
    assert len(list((tmp_path / "masks").iterdir())) == 16
    with pytest.raises(ConfigError, match=r"holds masks/00.png of .*00.png, which is not among this run's sources"):
        replace(resumed, sources=whole.sources[1:]).run()
    renamed = [replace(source, name=f"x/{source.name}") for source in whole.sources]
    with pytest.raises(ConfigError, match=r"holds masks/00.png of .*, which is now called masks/x/00.png"):
        replace(resumed, sources=renamed).run()


@pytest.mark.parametrize("options", [{}, {"resume": True}, {"overwrite": True}])
def test_files_that_no_run_made_are_neither_mixed_with_nor_overwritten(model, pictures, tmp_path, options):
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "00.png").write_bytes(b"ground truth")
    with pytest.raises(ConfigError, match=r"masks/00.png exists, and .* holds no run"):
        make_job(model, pictures, tmp_path, **options).run()
    (tmp_path / "run.json").write_text('{"mine": 1}')
    with pytest.raises(ConfigError, match=r"run\.json does not describe a run of xseg"):
        make_job(model, pictures, tmp_path, **options).run()
    assert (tmp_path / "masks" / "00.png").read_bytes() == b"ground truth"


def test_a_manifest_never_leads_out_of_the_folder(model, pictures, tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "file").write_text("theirs")
    (tmp_path / "out").mkdir()
    values = {"xseg_version": "0", "places": ["../theirs", str(tmp_path / "theirs"), ".", "..", "", 3]}
    (tmp_path / "out" / "run.json").write_text(json.dumps(values))
    assert len(make_job(model, pictures, tmp_path / "out", overwrite=True).run()) == 17
    assert (tmp_path / "theirs" / "file").is_file()


def test_an_image_that_fails_now_keeps_no_mask_of_an_earlier_try(model, pictures, tmp_path):
    folder = tmp_path / "pictures"
    shutil.copytree(pictures, folder)
    make_job(model, folder, tmp_path / "out", overlay=True).run()
    (folder / "02.png").write_bytes(b"broken")
    (tmp_path / "out" / "overlays" / "02.jpg").unlink()
    rows = make_job(model, folder, tmp_path / "out", overlay=True, resume=True).run()
    assert [row.path[-6:] for row in rows if row.status == "failed"] == ["02.png", "zz.png"]
    assert not (tmp_path / "out" / "masks" / "02.png").exists()
    (folder / "03.png").write_bytes(b"broken")
    make_job(model, folder, tmp_path / "out", overlay=True).run()
    assert not (tmp_path / "out" / "masks" / "03.png").exists()


def test_a_run_is_either_resumed_or_overwritten():
    with pytest.raises(ConfigError, match="resume with overwrite; expected one of them"):
        FolderOptions(resume=True, overwrite=True)


def test_two_runs_on_one_folder_notice_each_other(model, pictures, tmp_path):
    first, second = (make_job(model, pictures, tmp_path) for _ in range(2))
    engine = module.local_engine

    def disturbed(job, requests):
        with pytest.raises(ConfigError, match="in use by another run"):
            second.run()
        yield from engine(job, requests)

    assert len(first.run(disturbed)) == 17


def test_a_full_disk_stops_with_a_line_and_is_resumed(model, pictures, tmp_path, monkeypatch, undisturbed):
    replaced = os.replace

    def full(source, target):
        if str(target) == str(tmp_path / "masks" / "05.png"):
            raise OSError(errno.ENOSPC, "No space left on device")
        replaced(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(DataError, match=r"the disk of .* is full; .* run again with --resume"):
            make_job(model, pictures, tmp_path, overlay=True).run()
    assert not list(tmp_path.glob("*/.*")), "nothing half-written stays"
    make_job(model, pictures, tmp_path, overlay=True, resume=True).run()
    assert hashes(tmp_path) == hashes(undisturbed(1))


def test_what_a_killed_run_left_half_written_is_removed_and_nothing_else(model, pictures, tmp_path):
    (tmp_path / "masks").mkdir()
    half = tmp_path / "masks" / ".0123456789ab.png"
    theirs = tmp_path / "masks" / ".gitignore"
    for path in (half, theirs):
        path.write_bytes(b"x")
    make_job(model, pictures, tmp_path).run()
    assert not half.exists()
    assert theirs.exists()


@pytest.mark.slow
def test_a_run_that_is_killed_anywhere_is_resumed_to_the_same(model, pictures, tmp_path, monkeypatch):
    """SIGKILL after ever more of a real run; what comes out is what an undisturbed run writes."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    options = ["--backend", "torch", "--precision", "float32", "--batch_size", "2", "--overlay", "--device", "cpu"]

    def command(directory):
        arguments = ["predict", str(model), str(pictures), "--output_dir", str(directory), *options, "--resume"]
        return [sys.executable, "-c", f"import sys; from xseg.cli import main; sys.exit(main({arguments!r}))"]

    assert subprocess.run(command(tmp_path / "whole"), capture_output=True, check=False).returncode == 1
    killed = tmp_path / "killed"
    for least in (1, 5, 9):  # files that are there when the signal comes
        process = subprocess.Popen(command(killed), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and len(list(killed.glob("masks/*.png"))) < least:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert subprocess.run(command(killed), capture_output=True, check=False).returncode == 1
    assert hashes(killed) == hashes(tmp_path / "whole")
    assert table_without_seconds(killed) == table_without_seconds(tmp_path / "whole")
    assert not list(killed.glob("*/.*"))
