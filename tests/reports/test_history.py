from __future__ import annotations

import html
import re

import pytest

from xseg.errors import DataError
from xseg.reports.history import draw_charts, read_history


@pytest.fixture
def table(tmp_path):
    def write(text):
        (tmp_path / "metrics.csv").write_text(text, encoding="utf-8")
        return tmp_path / "metrics.csv"

    return write


def test_columns_become_curves_and_gaps_are_left_out(table):
    history = read_history(table("epoch,step,lr,val/miou,train/loss\n1,9,.1,,2\n1,9,,0.3,\n2,18,.05,0.4,nan\n"))
    assert history.unit == "epoch"
    assert history.curves["val/miou"].steps == (1, 2)
    assert history.curves["val/miou"].values == (0.3, 0.4)
    assert history.curves["train/loss"].values == (2,)
    assert history.curves["lr"].values == (0.1, 0.05)
    assert "step" not in history.curves


def test_of_several_values_of_an_epoch_the_last_is_taken_and_resumed_rows_are_sorted(table):
    history = read_history(table("epoch,lr\n2,3\n1,1\n2,4\n"))
    assert (history.curves["lr"].steps, history.curves["lr"].values) == ((1, 2), (1, 4))


def test_a_table_with_broken_rows_gives_what_is_whole(table):
    history = read_history(table("epoch,lr\n1,1\n2\nx,3\n3,4,5,6\n"))
    assert history.curves["lr"].values == (1, 4)


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n"])
def test_a_table_without_epochs_is_refused(table, text):
    with pytest.raises(DataError, match=r"metrics\.csv has columns"):
        read_history(table(text))


def test_a_missing_table_is_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_history(tmp_path / "metrics.csv")


def test_there_is_a_chart_for_what_was_measured_and_none_for_the_rest(table):
    charts = draw_charts(read_history(table("epoch,train/loss,val/loss,lr\n1,2,1.5,0.01\n2,1,1.2,0.001\n")))
    titles = ["Loss", "Learning rate"]
    assert [f'aria-label="{title}"' in chart for title, chart in zip(titles, charts, strict=True)] == [True, True]
    assert "validation" in charts[0]
    for chart in charts:
        assert chart.startswith("<svg")
        assert "currentColor" in chart
        assert "#010203" not in chart


@pytest.mark.filterwarnings("error")
def test_a_learning_rate_of_zero_does_not_end_the_report(table):
    assert len(draw_charts(read_history(table("epoch,lr,val/miou\n1,0,0.1\n2,0,0.2\n")))) == 2


def test_each_class_has_a_curve_with_its_own_look_and_its_name_as_it_is(table):
    names = ["_background_", "a<b", "$x$ & $y$", "road", "sky", "tree", "car", "bus"]
    columns = ",".join(f"val/iou/{name}" for name in names)
    values = ",".join(f"0.{index + 1}" for index in range(len(names)))
    (chart,) = draw_charts(read_history(table(f"epoch,{columns}\n1,{values}\n2,{values}\n")))
    assert 'aria-label="Validation IoU"' in chart
    texts = [html.unescape(text).strip("\u200b") for text in re.findall(r"<text[^>]*>([^<]*)</text>", chart)]
    assert [text for text in texts if text in names] == names[::-1], "the highest last value comes first"
    looks = re.findall(r'<path d="M[^"]*L[^"]*" clip-path="[^"]*" style="([^"]*)"', chart)
    curves = {look for look in looks if "currentColor" not in look}
    assert len(curves) == len(names)


def test_of_many_classes_the_lowest_are_shown(table):
    columns = ",".join(f"val/iou/class {index}" for index in range(150))
    values = ",".join(f"{(index * 7 % 150) / 150}" for index in range(150))
    (chart,) = draw_charts(read_history(table(f"epoch,{columns}\n1,{values}\n")))
    assert 'aria-label="Validation IoU, 12 lowest classes"' in chart
    lowest = {f"class {index}" for index in range(150) if index * 7 % 150 < 12}
    assert set(re.findall(r"class \d+", chart)) == lowest


def test_both_losses_the_rate_the_mean_and_the_classes_have_a_chart(table):
    text = "epoch,train/loss,lr,val/loss,val/miou,val/iou/road,val/iou/sky\n1,2,.1,1.5,.3,.2,.4\n2,1,.05,1.2,.4,.3,.5\n"
    charts = draw_charts(read_history(table(text)))
    titles = [re.search(r'aria-label="([^"]*)"', chart)[1] for chart in charts]
    assert titles == ["Loss", "Validation mIoU", "Validation IoU", "Learning rate"]
