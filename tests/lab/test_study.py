"""Running studies: resumable, and the same however they are run."""

from __future__ import annotations

import csv
import json

import pytest

from xseg.cli import lab
from xseg.data.generated.drawings import DrawnClasses, write_drawings
from xseg.errors import ConfigError, DataError
from xseg.lab import study as studies
from xseg.lab.budget import Network
from xseg.lab.results import rows, series, verdict
from xseg.lab.settings import StudySettings
from xseg.lab.studies import STUDIES
from xseg.lab.study import Trained, remaining, run_study
from xseg.lab.training import Curve, load_curve, train

TINY = StudySettings(width=0.125, size=40, images=40, val_images=20, epochs=1, batch_size=10, points=2, seeds=(0, 1))
OPTIONS = [
    *("--width", "0.125", "--size", "40", "--images", "40", "--val_images", "20", "--epochs", "1"),
    *("--batch_size", "10", "--points", "2", "--seeds", "0", "1"),
]


@pytest.fixture
def pretend(monkeypatch):
    """Replace training by something quick that remembers what was asked."""
    asked = []

    def quick(network, settings, *, seed, root=""):
        asked.append((network.variant.name, seed))
        end = 0.5 + 0.1 * len(network.variant.name) / 100 + 0.01 * seed
        return Curve(network.variant.name, seed, (2, 4), (0.25, end), (2.0, 1.0), 3.0)

    monkeypatch.setattr(studies, "train", quick)
    return asked


def test_a_training_gives_a_curve_that_its_seed_determines():
    network = Network(STUDIES["residual"].variants[0], 0.125, 10, 0.2)
    curve = train(network, TINY, seed=3)
    again = train(network, TINY, seed=3)
    assert curve.steps == (2, 4)
    assert (curve.accuracy, curve.loss) == (again.accuracy, again.loss)
    assert train(network, TINY, seed=4).loss != curve.loss


def test_every_network_is_trained_with_every_seed(pretend, tmp_path):
    trained = run_study(STUDIES["residual"], TINY, tmp_path)
    assert pretend == [("residual", 0), ("not residual", 0), ("residual", 1), ("not residual", 1)]
    assert [[(curve.variant, curve.seed) for curve in curves] for curves in trained.curves] == [
        [("residual", 0), ("residual", 1)],
        [("not residual", 0), ("not residual", 1)],
    ]


def test_an_interrupted_study_goes_on(pretend, tmp_path, monkeypatch):
    def interrupt(curve):
        if len(pretend) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(STUDIES["residual"], TINY, tmp_path, on_curve=interrupt)
    assert remaining(STUDIES["residual"], TINY, tmp_path) == 2
    (tmp_path / "runs" / "not-residual-0.json").write_text("{")  # torn, as no run of ours leaves it
    run_study(STUDIES["residual"], TINY, tmp_path)
    assert pretend[2:] == [("not residual", 0), ("residual", 1), ("not residual", 1)]


def test_a_further_seed_is_added_to_those_that_are_there(pretend, tmp_path):
    run_study(STUDIES["residual"], TINY, tmp_path)
    more = StudySettings(**{**vars(TINY), "seeds": (0, 1, 2)})
    trained = run_study(STUDIES["residual"], more, tmp_path)
    assert len(pretend) == 6
    assert [len(curves) for curves in trained.curves] == [3, 3]


def test_other_settings_are_not_mixed_in(pretend, tmp_path):
    run_study(STUDIES["residual"], TINY, tmp_path)
    other = StudySettings(**{**vars(TINY), "lr": 0.5})
    with pytest.raises(ConfigError, match=r"holds another study \(lr: 0.002, now 0.5\); pass another"):
        run_study(STUDIES["residual"], other, tmp_path)


@pytest.mark.slow
def test_processes_side_by_side_give_the_same_curves(tmp_path):
    one = StudySettings(**{**vars(TINY), "seeds": (0,)})
    alone = run_study(STUDIES["residual"], one, tmp_path / "alone")
    beside = run_study(STUDIES["residual"], one, tmp_path / "beside", jobs=2)
    for mine, theirs in zip(alone.curves, beside.curves, strict=True):
        assert mine[0].steps == theirs[0].steps
        assert mine[0].loss == pytest.approx(theirs[0].loss, rel=1e-4)


def test_a_folder_takes_the_place_of_generated_pictures(pretend, tmp_path):
    write_drawings(tmp_path / "data", DrawnClasses((8, 4), 40, ("ring", "star")))
    trained = run_study(STUDIES["order"], TINY, tmp_path / "out", root=str(tmp_path / "data"))
    assert {network.classes for network in trained.networks} == {2}
    next((tmp_path / "data" / "val").rglob("*.png")).write_bytes(b"broken")
    with pytest.raises(DataError, match="1 broken image"):
        run_study(STUDIES["order"], TINY, tmp_path / "out", root=str(tmp_path / "data"))


def trained_of(accuracies):
    names = [variant.name for variant in STUDIES["residual"].variants]
    networks = tuple(Network(variant, 0.25, 10, 0.0, 100, 1000) for variant in STUDIES["residual"].variants)
    curves = tuple(
        tuple(Curve(name, seed, (1, 2), values, (1.0, 1.0), 1.0) for seed, values in enumerate(seeds))
        for name, seeds in zip(names, accuracies, strict=True)
    )
    return Trained(STUDIES["residual"], TINY, "", networks, curves)


def test_the_table_and_the_band_are_of_the_seeds():
    trained = trained_of([[(0.2, 0.8), (0.4, 0.9)], [(0.1, 0.5), (0.1, 0.7)]])
    first, second = rows(trained)
    assert (first.final, first.final_low, first.final_high) == (0.85, 0.8, 0.9)
    assert first.mean == pytest.approx(0.575)
    band = series("x", trained.curves[0])
    assert (band.values, band.low, band.high) == (pytest.approx((0.3, 0.85)), (0.2, 0.8), (0.4, 0.9))
    said = verdict([first, second])
    assert said.startswith(
        "residual ended highest, at 0.850. not residual ended at 0.600: lower (the ranges of the seeds do not"
    )


def test_a_difference_within_the_seeds_range_is_called_none():
    table = rows(trained_of([[(0.2, 0.8), (0.4, 0.6)], [(0.1, 0.65), (0.5, 0.65)]]))
    assert "not residual ended at 0.650: no clear difference (the ranges of the seeds overlap)." in verdict(table)
    assert "not residual was highest" not in verdict(table[:1])


def test_the_command_writes_figure_table_and_page(pretend, tmp_path, capsys):
    out = tmp_path / "out"
    assert lab.main(["activation", "--output_dir", str(out), *OPTIONS]) == 0
    told = capsys.readouterr().out
    assert "6/6  intermediate ELU, seed 1" in told
    assert f"report: {out / 'report.html'}" in told
    with (out / "table.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["variant"] for row in table] == [variant.name for variant in STUDIES["activation"].variants]
    assert json.loads((out / "results.json").read_text())["settings"]["seeds"] == [0, 1]
    page, figure = (out / "report.html").read_text(), (out / "figure.svg").read_text()
    for variant in STUDIES["activation"].variants:
        assert variant.name in page
        assert variant.name in figure
    assert "currentColor" not in figure
    assert lab.main(["activation", "--output_dir", str(out), *OPTIONS]) == 0
    assert "6 of 6 trainings are already done" in capsys.readouterr().out
    assert len(pretend) == 6


def test_overwriting_forgets_a_study_and_nothing_else(pretend, tmp_path):
    out = tmp_path / "out"
    lab.main(["residual", "--output_dir", str(out), *OPTIONS])
    (out / "notes.txt").write_text("mine")
    lab.main(["residual", "--output_dir", str(out), *OPTIONS, "--overwrite", "--lr", "0.1"])
    assert len(pretend) == 8
    assert (out / "notes.txt").read_text() == "mine"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").touch()
    with pytest.raises(ConfigError, match="holds other files than a study"):
        lab.main(["residual", "--output_dir", str(tmp_path / "other"), *OPTIONS, "--overwrite"])


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (["residuals"], "did you mean residual"),
        (["residual", "--jobs", "0"], "jobs=0"),
        (["residual", "--seeds", "1", "1"], "seeds"),
        (["residual", "--size", "20"], "size=20"),
        (["residual", "--images", "5"], "ten classes"),
        (["residual", "--epochs", "0"], "epochs=0"),
        (["residual", "--epoch", "1"], "did you mean --epochs"),
    ],
)
def test_a_wrong_option_is_told(wrong, told):
    with pytest.raises(ConfigError, match=told):
        lab.main(wrong)


def test_what_is_no_curve_is_none(tmp_path):
    assert load_curve(tmp_path / "nowhere.json") is None
    (tmp_path / "list.json").write_text("[]")
    assert load_curve(tmp_path / "list.json") is None
