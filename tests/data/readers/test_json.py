"""Whatever a JSON with labels holds in place of a value, reading gives samples or one line."""

from __future__ import annotations

import copy
import json

import pytest
from replicas import REPLICAS

from xseg.data.options import DataOptions
from xseg.data.readers.registry import create_reader
from xseg.errors import DataError

NAMES = [name for name in REPLICAS if name.partition("/")[0] in ("coco", "labelme") and "stuff" not in name]
VALUES = [10**400, 2**63, -(2**70), 1.5, True, None, "x", "y" * 300, [], {}]


def places(value, way=()):
    """Yield the way to each kind of leaf: the first item stands for all of a list."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value[:2]):
            yield from places(item, (*way, key))
    else:
        yield way


def changed(content, way, value):
    content = copy.deepcopy(content)
    level = content
    for key in way[:-1]:
        level = level[key]
    level[way[-1]] = value
    return content


def fault_of(options):
    """What reading all of a data set reports; any other error than that of the data is raised."""
    try:
        reader = create_reader(options)
        for record in reader.records("train"):
            reader.read(record)
    except DataError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", NAMES)
def test_any_value_in_any_place_gives_samples_or_one_line(name, tmp_path):
    options = DataOptions(**REPLICAS[name](tmp_path))
    files = sorted(tmp_path.rglob("*.json"))
    file = next(file for file in files if "train" in str(file))
    content = json.loads(file.read_text())
    ways = {tuple(0 if isinstance(key, int) else key for key in way): way for way in places(content)}
    for way in ways.values():
        for value in VALUES:
            file.write_text(json.dumps(changed(content, way, value)))
            assert "\n" not in fault_of(options), (way, value)
