import pytest
import yaml

from xseg.api.train_options import parse_request
from xseg.errors import ConfigError
from xseg.training.objective import class_weights, given_weights
from xseg.training.options.recipe import LossOptions


def test_the_middle_class_weighs_one_and_rarer_ones_more():
    assert class_weights([400, 100, 25], "inverse") == pytest.approx((0.25, 1.0, 4.0))
    assert class_weights([400, 100, 25], "inverse_sqrt") == pytest.approx((0.5, 1.0, 2.0))


def test_a_class_without_pixels_changes_no_other():
    assert class_weights([400, 0, 100, 25], "inverse") == pytest.approx((0.25, 1.0, 1.0, 4.0))
    assert class_weights([0, 0], "inverse") == (1.0, 1.0)


def test_none_means_no_weights():
    assert class_weights([1, 2], "none") is None


NAMES = ("road", "sky", "pole")


def test_weights_are_given_in_the_order_of_the_classes_or_by_name():
    assert given_weights(NAMES, (1, 5, 2)) == (1.0, 5.0, 2.0)
    assert given_weights(NAMES, {"pole": 2, "road": 3}) == (3.0, 1.0, 2.0)


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ((1, 2), r"2 class_weights for 3 classes; expected one each for road, sky, pole"),
        ({"rood": 2}, r"class_weights of rood; expected names among road, sky, pole"),
    ],
)
def test_weights_of_other_classes_are_refused(weights, told):
    with pytest.raises(ConfigError, match=told):
        given_weights(NAMES, weights)


@pytest.mark.parametrize("weights", [[1, 0, 2], {"road": -1}, [], {}])
def test_weights_are_above_0(weights):
    with pytest.raises(ConfigError, match="expected numbers above 0"):
        LossOptions(class_weights=weights)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("[1,5,2]", (1.0, 5.0, 2.0)), ("{road: 1, pole: 5}", {"road": 1.0, "pole": 5.0}), ("auto", "auto")],
)
def test_weights_come_from_the_command_line_and_return_from_the_config(text, expected, tmp_path):
    arguments = ["--data.reader", "scenes", "--output_dir", str(tmp_path)]
    request = parse_request([*arguments, "--model.loss.class_weights", text])
    assert request.model.loss.class_weights == expected
    (tmp_path / "c.yaml").write_text(yaml.safe_dump({"model": request.to_config({})["model"]}))
    assert parse_request([*arguments, "--config", str(tmp_path / "c.yaml")]).model.loss.class_weights == expected
