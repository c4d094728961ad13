from __future__ import annotations

from dataclasses import replace

import pytest

from xseg.errors import ConfigError
from xseg.labels.known import LOVEDA, PET, VOC
from xseg.labels.label_map import LabelMap

STREET = LabelMap(("road", "background", "sky"))


@pytest.mark.parametrize("name", ["background", "Background", "_background_", "__background__"])
def test_the_first_class_is_the_background_if_it_has_that_name(name):
    labels = LabelMap((name, "cell", "wall"))
    assert (labels.background_id, labels.objects) == (0, (1, 2))
    assert [known.background_id for known in (VOC, PET, LOVEDA)] == [0, 0, 0]
    for other in (STREET, LabelMap(("backgrounds", "cell"))):
        assert (other.background_id, other.objects) == (None, tuple(range(len(other))))


def test_another_class_or_none_is_the_background_by_its_name():
    assert replace(STREET, background="sky").objects == (0, 1)
    assert replace(STREET, background="background").background_id == 1
    assert replace(VOC, background="none").background_id is None
    assert LabelMap(("none", "cell"), background="none").background_id == 0, "a class of this name"
    with pytest.raises(
        ConfigError, match="background 'skye'; expected one of road, background, sky, none; did you mean"
    ):
        replace(STREET, background="skye")


def test_a_label_map_of_an_earlier_version_has_no_background_of_its_own():
    values = VOC.to_dict()
    del values["background"]
    assert LabelMap.from_dict(values) == VOC
