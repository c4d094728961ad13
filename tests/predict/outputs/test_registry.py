"""What holds for every kind of output."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from xseg.errors import ConfigError, DataError
from xseg.predict.outputs.registry import (
    MEDIA,
    OUTPUTS,
    check_outputs,
    create_outputs,
    describe_outputs,
    name_of,
    option_names,
    optional_outputs,
)
from xseg.predict.sources import Source
from xseg.predict.writer import PredictionWriter

SOURCES = [
    Source(Path("a.b.png"), "x/a.b", "image"),
    Source(Path("map.tif"), "map", "raster"),
    Source(Path("film.mp4"), "film", "video"),
    Source(Path("0"), "0", "camera"),
]


@pytest.mark.parametrize("name", OUTPUTS)
def test_an_output_implements_what_it_says_it_supports(name):
    output = OUTPUTS[name]()
    methods = {"image": ["write_image"], "raster": ["write_raster", "stream_raster"], "video": ["stream_video"]}
    for medium in output.suffixes:
        assert name == "mask" or any(map(output.overrides, methods[medium])), medium
    assert bool(output.folder) == bool(output.suffixes)
    assert bool(output.summary) == output.overrides("write_summary") == bool(output.summarized)
    assert output.supported() <= set(MEDIA)
    assert name in optional_outputs() or output.always == set(MEDIA)


@pytest.mark.parametrize("name", optional_outputs())
def test_an_optional_output_has_a_help_text_and_an_option_of_its_name(name):
    kind = optional_outputs()[name]
    assert kind.description
    (output,) = create_outputs({name: True})
    assert name_of(output) == name
    described = describe_outputs([output])
    assert described[name] is True
    assert sum(value is True for value in described.values()) == 1
    assert set(option_names(kind)) <= set(described)


def test_no_two_outputs_share_a_place():
    places = [place for kind in OUTPUTS.values() for place in (kind.folder, kind.summary) if place]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.kind)
@pytest.mark.parametrize("name", optional_outputs())
def test_a_source_is_either_written_or_refused_before_the_work_starts(name, source, tmp_path):
    outputs = create_outputs({name: True})
    if source.medium in outputs[0].supported():
        check_outputs(outputs, [source])
        files = PredictionWriter(tmp_path, outputs).files(source)
        assert len(set(files)) == len(files)
        assert all(source.name in str(file) for file in files)
        assert files[-1].parent.name in {"masks", "x"}, "the mask comes last"
    else:
        with pytest.raises(ConfigError, match=f"{name} cannot be written for {source.place}"):
            check_outputs(outputs, [SOURCES[0], source])


@pytest.mark.parametrize(("height", "width", "refused"), [(65536, 65536, True), (65535, 65536, False)])
def test_a_raster_that_coco_cannot_count_is_refused_before_the_work_starts(tmp_path, height, width, refused):
    rasterio = pytest.importorskip("rasterio")
    profile = {"height": height, "width": width, "count": 1, "dtype": "uint8", "sparse_ok": True, "tiled": True}
    with rasterio.open(tmp_path / "map.tif", "w", driver="GTiff", **profile, blockxsize=4096, blockysize=4096):
        pass
    for source in (
        Source(tmp_path / "map.tif", "map", "raster"),
        Source(tmp_path / "fetched.tif", "map", "raster", url=(tmp_path / "map.tif").as_uri()),
    ):
        check_outputs(create_outputs({"polygons": True}), [source])
        if not refused:
            check_outputs(create_outputs({"coco": True}), [source])
            continue
        with pytest.raises(DataError, match=r"map.tif has 65536x65536 pixels; expected 4294967295 pixels or fewer"):
            check_outputs(create_outputs({"coco": True}), [source])


def test_the_tolerance_of_polygons_is_checked():
    with pytest.raises(ConfigError, match="tolerance=-1"):
        create_outputs({"polygons": True, "tolerance": -1.0})


def test_the_registry_imports_nothing_heavy():
    heavy = {"torch", "numpy", "PIL", "cv2", "rasterio"}
    code = f"import sys, xseg.predict.outputs.registry; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
