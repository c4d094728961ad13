"""Predicting from URLs and to URLs, as from folders and to folders."""

from __future__ import annotations

import hashlib
import json

import fsspec
import numpy as np
import pytest
from PIL import Image
from silent import Silent

from xseg.errors import ConfigError, DataError
from xseg.files.remote import fetch, files_below, send, staging_folder
from xseg.inference.options import InferenceOptions
from xseg.predict.job import Job
from xseg.predict.manifest import describe_run
from xseg.predict.options import FolderOptions
from xseg.predict.outputs.registry import create_outputs
from xseg.predict.sources import expand_sources
from xseg.predict.staging import OWNER
from xseg.predict.table import read_table

NAMES = ["a/one", "a/b/two", "three"]


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Photographs in a folder of this machine, and the URL of the same ones."""
    monkeypatch.setenv("XSEG_CACHE", str(tmp_path / "cache"))
    here, url = tmp_path / "photos", f"memory://{tmp_path.name}/photos"
    random = np.random.default_rng(0)
    for name in NAMES:
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (20, 30, 3), np.uint8)).save(here / f"{name}.png")
    (here / "broken.jpg").write_bytes(b"no picture")
    for path in here.rglob("*.*"):
        send(path, f"{url}/{path.relative_to(here).as_posix()}")
    yield here, url
    fsspec.filesystem("memory").store.clear()


def make_job(predictor, sources, place, *, resume=False, overwrite=False, **wanted):
    outputs = create_outputs({"overlay": True, "polygons": True, **wanted})
    facts = {"device": "cpu", "backend": "torch", "precision": "float32"}
    description = describe_run("digest", InferenceOptions(batch_size=2), outputs, **facts)
    folder = FolderOptions(str(place), resume=resume, overwrite=overwrite)
    found = expand_sources([str(item) for item in sources], exclude=place)
    return Job(predictor, found, folder, description, Silent(), outputs)


def contents(folder):
    """The content of every output but the tables, whose seconds and paths differ."""
    paths = [path for path in folder.rglob("*.*") if path.is_file() and path.parent != folder]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def brought(url, folder):
    for name in files_below(url):
        fetch(f"{url}/{name}", folder / name)
    return folder


def table_of(url, folder):
    return read_table(fetch(f"{url}/predictions.csv", folder / "table.csv"))


def test_what_comes_from_a_url_and_goes_to_one_is_what_folders_give(predictor, photos, tmp_path):
    here, url = photos
    expected = make_job(predictor, [here], tmp_path / "local", coco=True).run()
    out = f"{url}/out"
    rows = make_job(predictor, [url], out, coco=True).run()
    assert [row.path for row in rows] == [row.path.replace(str(here), url) for row in expected]
    assert [(row.status, row.pixels, row.mask) for row in rows] == [
        (row.status, row.pixels, row.mask) for row in expected
    ]
    got = brought(out, tmp_path / "brought")
    assert contents(got) == contents(tmp_path / "local")
    assert {path.name for path in got.iterdir() if path.is_file()} == {"predictions.csv", "run.json", "coco.json"}
    assert read_table(got / "predictions.csv") == rows
    annotations = [
        json.loads((folder / "coco.json").read_text())["annotations"] for folder in (got, tmp_path / "local")
    ]
    assert annotations[0] == annotations[1] != []
    assert not [path for path in staging_folder().rglob("*") if path.is_file()], "nothing stays on this machine"


def test_a_failure_names_the_url(predictor, photos):
    _, url = photos
    job = make_job(predictor, [url], f"{url}/out")
    failed = [row for row in job.run() if row.status == "failed"]
    assert [row.path for row in failed] == [f"{url}/broken.jpg"]
    assert failed[0].error.startswith(f"{url}/broken.jpg")
    assert str(staging_folder()) not in failed[0].error


def test_earlier_outputs_below_the_url_are_not_searched(predictor, photos):
    _, url = photos
    for _ in range(2):
        assert len(make_job(predictor, [url], f"{url}/out").run()) == 4


def test_globs_and_lists_take_urls(photos, tmp_path):
    here, url = photos
    assert [item.url for item in expand_sources([f"{url}/a/**/*.png"])] == [f"{url}/a/b/two.png", f"{url}/a/one.png"]
    (tmp_path / "list.txt").write_text(f"{url}/three.png\n{here}/three.png\n{url}/missing.png\n{url}/a/\n")
    found = expand_sources([f"@{tmp_path}/list.txt"])
    here_alone = [item.place for item in found if item.url is None]
    assert here_alone == [f"{here}/three.png"]
    assert [item.url for item in found if item.url] == [
        *(f"{url}/{name}.png" for name in ("three", "missing", "a/b/two", "a/one")),
    ]
    assert len({item.name for item in found}) == len(found)


def test_a_url_comes_once_and_its_name_is_the_same_in_every_run(photos):
    _, url = photos
    arguments = [url, f"{url}/a/one.png", f"{url}/a", f"{url}/*.png"]
    runs = [expand_sources(arguments) for _ in range(2)]
    assert [item.url for item in runs[0]] == [
        f"{url}/{name}" for name in ("a/b/two.png", "a/one.png", "broken.jpg", "three.png")
    ]
    assert [item.name for item in runs[0]] == [item.name for item in runs[1]]
    assert not {item.path for item in runs[0]} & {item.path for item in runs[1]}, "runs do not share fetched files"


def test_the_same_name_below_two_urls_keeps_the_folders_in_every_run(photos, tmp_path):
    here, url = photos
    send(here / "three.png", f"{url}/a/three.png")
    for arguments in ([f"{url}/three.png", f"{url}/a/three.png"], [f"{here}/three.png", f"{url}/three.png"]):
        names = [[item.name for item in expand_sources(arguments)] for _ in range(2)]
        assert names[0] == names[1]
        assert len(set(names[0])) == 2


@pytest.mark.parametrize(("place", "message"), [("nothing", "does not exist"), ("*.gif", "holds no matching image")])
def test_a_url_that_names_nothing_is_told(photos, place, message):
    with pytest.raises(DataError, match=message):
        expand_sources([f"{photos[1]}/{place}"])


def test_a_name_that_leads_out_is_refused(photos, monkeypatch):
    monkeypatch.setattr("xseg.predict.sources.files_matching", lambda url: (url, ["../../evil.png"]))
    with pytest.raises(DataError, match="leads out of its folder"):
        expand_sources([f"{photos[1]}/*"])


def test_an_interrupted_run_goes_on_where_its_table_was_sent(predictor, photos, tmp_path, monkeypatch):
    from xseg.predict import job as module

    monkeypatch.setattr(module, "SEND_SECONDS", 0)
    _, url = photos
    out, engine = f"{url}/out", module.local_engine
    seen = []

    def interrupted(job, requests):
        for count, row in enumerate(engine(job, requests)):
            if count == 2:
                seen.extend(table_of(out, tmp_path))  # as a machine that is lost now would leave it
                raise KeyboardInterrupt
            yield row

    with pytest.raises(KeyboardInterrupt):
        make_job(predictor, [url], out).run(interrupted)
    assert len(seen) == 2
    done = [row.path for row in seen if row.status == "ok"]

    def noted(job, requests):
        assert {job.sources[request.index].place for request in requests if request.done} == set(done)
        return engine(job, requests)

    rows = make_job(predictor, [url], out, resume=True).run(noted)
    assert len(rows) == 4
    whole = f"{url}_whole"
    make_job(predictor, [photos[0]], whole).run()
    assert contents(brought(out, tmp_path / "a")) == contents(brought(whole, tmp_path / "b"))


def test_what_was_removed_far_away_is_made_again(predictor, photos):
    _, url = photos
    out = f"{url}/out"
    make_job(predictor, [url], out).run()
    fsspec.filesystem("memory").rm_file(f"{out}/masks/three.png")
    job = make_job(predictor, [url], out, resume=True)
    assert len(job.run()) == 4
    assert "masks/three.png" in files_below(out)


def test_a_url_with_other_options_is_not_gone_on_with(predictor, photos):
    _, url = photos
    make_job(predictor, [url], f"{url}/out").run()
    with pytest.raises(ConfigError, match=r"was made with coco=False, but this run has coco=True"):
        make_job(predictor, [url], f"{url}/out", coco=True, resume=True).run()


def test_a_url_of_another_run_is_refused_or_overwritten_as_a_folder_is(predictor, photos):
    _, url = photos
    out = f"{url}/out"
    make_job(predictor, [url], out, coco=True).run()
    make_job(predictor, [url], out, coco=True).run()
    before = files_below(out)
    with pytest.raises(ConfigError, match="holds a run with other sources"):
        make_job(predictor, [f"{url}/a"], out, coco=True).run()
    with pytest.raises(ConfigError, match="add --overwrite"):
        make_job(predictor, [url], out).run()
    assert files_below(out) == before
    make_job(predictor, [f"{url}/a"], out, overwrite=True).run()
    names = ["masks/b/two.png", "masks/one.png", "overlays/b/two.jpg", "overlays/one.jpg", "polygons/b/two.geojson"]
    assert files_below(out) == [*names, "polygons/one.geojson", "predictions.csv", "run.json"]


def test_a_run_of_another_machine_is_believed(predictor, photos, tmp_path):
    _, url = photos
    (tmp_path / "note").write_text(json.dumps({"host": "elsewhere", "pid": "7", "started": "yesterday"}))
    send(tmp_path / "note", f"{url}/out/{OWNER}")
    with pytest.raises(ConfigError, match=rf"{url}/out is in use .*7 on elsewhere.*remove {url}/out/{OWNER}"):
        make_job(predictor, [url], f"{url}/out").run()


def test_a_place_that_takes_nothing_stops_the_run_with_its_url(predictor, photos, monkeypatch):
    def refused(*_, **__):
        raise PermissionError("denied")

    _, url = photos
    job = make_job(predictor, [url], f"{url}/out")
    monkeypatch.setattr(fsspec.filesystem("memory").__class__, "put_file", refused)
    with pytest.raises(DataError, match=rf"{url}/out/.* cannot be written: denied"):
        job.run()
    assert not [path for path in staging_folder().rglob("*") if path.is_file()]
