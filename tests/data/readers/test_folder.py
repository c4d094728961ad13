"""Folders of images and masks; what is wrong with them is told in one line before work begins."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from xseg.data.cache import sample_source
from xseg.data.generated.scenes import overlapping_scene
from xseg.data.layout import FileOptions, LabelOptions, LayoutOptions, SceneOptions, SplitOptions
from xseg.data.options import DataOptions
from xseg.data.readers.registry import create_reader
from xseg.doctor.correction import paired_root
from xseg.doctor.examination import examine, list_splits
from xseg.doctor.quick_look import check_split, count_class_pixels
from xseg.doctor.statistics import split_statistics
from xseg.errors import ConfigError, DataError
from xseg.types import SPLITS


@pytest.fixture
def options(scenes_root, camvid_root):
    """Options of every reader, over small data sets."""
    return {
        "camvid": DataOptions(reader="camvid", root=str(camvid_root)),
        "folder": DataOptions(reader="folder", root=str(scenes_root)),
        "scenes": DataOptions(
            reader="scenes", layout=LayoutOptions(scenes=SceneOptions(size=(40, 56), counts=(4, 3, 2), seed=3))
        ),
    }


def labelled(**labels):
    return LayoutOptions(labels=LabelOptions(**labels))


def test_camvid_ignores_void_and_nothing_else(options, camvid_root):
    reader = create_reader(options["camvid"])
    record = reader.records("val")[1]
    raw = np.asarray(Image.open(camvid_root / "valannot" / "1.png"))
    assert np.array_equal(reader.read(record).mask, np.where(raw == 11, 255, raw))
    assert len(reader.labels) == 11


def test_written_scenes_are_the_generated_ones(options):
    written, drawn = create_reader(options["folder"]), create_reader(options["scenes"])
    assert written.labels == drawn.labels
    for split in SPLITS:
        for a, b in zip(written.records(split), drawn.records(split), strict=True):
            ours, theirs = written.read(a), drawn.read(b)
            assert a.name == b.name
            assert np.array_equal(ours.image, theirs.image)
            assert np.array_equal(ours.mask, theirs.mask)


def test_nested_folders_name_their_records(tmp_path, save):
    for place in ("a/1", "b/1", "2"):
        save(np.zeros((4, 4, 3), np.uint8), tmp_path / "train" / "images" / f"{place}.jpg")
        save(np.zeros((4, 4), np.uint8), tmp_path / "train" / "masks" / f"{place}.png")
    (tmp_path / "train" / "images" / "notes.txt").write_text("no image")
    (tmp_path / "train" / "images" / "._2.jpg").write_text("a Mac's shadow of a file")
    (tmp_path / "classes.txt").write_text("ground\n\n sky \n")
    reader = create_reader(DataOptions(reader="folder", root=str(tmp_path)))
    assert [record.name for record in reader.records("train")] == ["2", "a/1", "b/1"]
    assert reader.labels.names == ("ground", "sky")


def test_globs_choose_files(tmp_path, save):
    for kind, suffix, array in (
        ("rgb", "jpg", np.zeros((4, 4, 3), np.uint8)),
        ("ids", "png", np.ones((4, 4), np.uint8)),
    ):
        save(array, tmp_path / kind / "train" / "one" / f"x.{suffix}")
    save(np.zeros((4, 4, 3), np.uint8), tmp_path / "rgb" / "train" / "one" / "y.png")
    layout = LayoutOptions(
        files=FileOptions(images="rgb/{split}/*/*.jpg", masks="ids/{split}"), labels=LabelOptions(classes=("a", "b"))
    )
    options = DataOptions(reader="folder", root=str(tmp_path), layout=layout)
    (record,) = create_reader(options).records("train")
    assert record.name == "one/x"
    assert create_reader(options).read(record).mask.min() == 1


@pytest.mark.parametrize("root", [".", "./"])
def test_the_working_directory_may_be_the_root(root, scenes_root, monkeypatch):
    monkeypatch.chdir(scenes_root)
    assert len(create_reader(DataOptions(reader="folder", root=root)).records("val")) > 0


@pytest.mark.parametrize("reader", ["camvid", "folder"])
def test_a_missing_root_is_told(reader, tmp_path):
    with pytest.raises(DataError, match="root is not set"):
        create_reader(DataOptions(reader=reader))
    with pytest.raises(DataError, match=f"root {tmp_path / 'no'} does not exist"):
        create_reader(DataOptions(reader=reader, root=str(tmp_path / "no")))


def test_a_missing_split_and_an_empty_one_are_told(options, camvid_root):
    reader = create_reader(options["camvid"])
    with pytest.raises(DataError, match=r"test does not exist .* holds train/, trainannot/, val/, valannot/$"):
        reader.records("test")
    (camvid_root / "test").mkdir()
    with pytest.raises(DataError, match="matches no image"):
        reader.records("test")


def test_images_without_masks_and_names_used_twice_are_told(options, camvid_root, save):
    reader = create_reader(options["camvid"])
    (camvid_root / "trainannot" / "4.png").unlink()
    with pytest.raises(DataError, match=r"^1 of 6 images of the train split have no mask: .*train/4.png; expected"):
        reader.records("train")
    save(np.zeros((4, 4, 3), np.uint8), camvid_root / "train" / "3.jpg")
    with pytest.raises(DataError, match=r"3.jpg and .*3.png have the same name"):
        reader.records("train")


def test_a_mask_of_another_size_is_told_by_reading_and_by_inspecting(options, camvid_root, save):
    save(np.zeros((24, 31), np.uint8), camvid_root / "valannot" / "2.png")
    reader = create_reader(options["camvid"])
    for look in (reader.read, reader.inspect):
        with pytest.raises(DataError, match=r"^mask .*valannot/2.png is 24x31 and its image .*val/2.png is 24x32; "):
            look(reader.records("val")[2])


def test_a_mask_that_misses_the_images_orientation_is_told_so(tmp_path, save):
    exif = Image.Exif()
    exif[274] = 6
    (tmp_path / "val" / "images").mkdir(parents=True)
    Image.new("RGB", (32, 24)).save(tmp_path / "val" / "images" / "a.jpg", exif=exif)
    save(np.zeros((24, 32), np.uint8), tmp_path / "val" / "masks" / "a.png")
    reader = create_reader(DataOptions(reader="folder", root=str(tmp_path), layout=labelled(classes=("a",))))
    with pytest.raises(DataError, match=r"is 24x32 and its image .* is 32x24; .* EXIF rotates the image"):
        reader.inspect(reader.records("val")[0])


def test_the_check_counts_what_is_wrong_and_names_the_first(options, camvid_root, save):
    reader = create_reader(options["camvid"])
    whole = check_split(reader, "train")
    assert (whole.images, whole.sizes, sum(whole.values.values())) == (6, {(24, 32): 6}, 6 * 24 * 32)
    strange = np.zeros((24, 32), np.uint8)
    strange[0, :5] = 37
    for index in (1, 2, 3, 4, 5):
        save(strange, camvid_root / "trainannot" / f"{index}.png")
    with pytest.raises(DataError) as caught:
        check_split(reader, "train")
    assert str(caught.value).startswith("5 of 6 records of the train split are wrong, the first: mask ")
    assert "trainannot/1.png has value 37 in 5 pixels (then 2, 3, 4 and 1 more); expected 0 to 10 or 11, 255" in str(
        caught.value
    )


def test_the_check_finds_a_truncated_mask_and_a_missing_image_header(options, camvid_root):
    for place in ("valannot/0.png", "val/1.png"):
        path = camvid_root / place
        data = path.read_bytes()
        path.write_bytes(data[: 60 if place.startswith("valannot") else 10])
    with pytest.raises(DataError, match=r"2 of 3 records of the val split are wrong, the first: .*valannot/0.png"):
        check_split(create_reader(options["camvid"]), "val")


def binary(tmp_path, save, **options):
    for split in ("train", "val"):
        save(np.zeros((4, 6, 3), np.uint8), tmp_path / split / "images" / "a.png")
        save(np.array([[0, 255] * 3] * 4, np.uint8), tmp_path / split / "masks" / "a.png")
    layout = labelled(classes=("ground", "thing"), **options)
    return create_reader(DataOptions(reader="folder", root=str(tmp_path), layout=layout))


def test_masks_of_0_and_255_are_not_silently_ignored(tmp_path, save):
    with pytest.raises(DataError, match=r"only the values 0 and 255, .*set raw_ids to \[0, 255\]"):
        check_split(binary(tmp_path, save), "train")
    reader = binary(tmp_path, save, raw_ids=(0, 255))
    check_split(reader, "train")
    assert reader.read(reader.records("train")[0]).mask.tolist() == [[0, 1] * 3] * 4


def test_a_split_of_ignored_pixels_alone_is_refused(tmp_path, save):
    reader = binary(tmp_path, save, raw_ids=(1, 2), ignored_raw_ids=(0,))
    with pytest.raises(DataError, match=r"all mask pixels .* are ignored \(values \[0, 255\]\)"):
        check_split(reader, "train")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("names: [a, b", "is not YAML"),
        ("[a, b]", "holds list; expected names"),
        ("names: [a, b]\ncolours: []", r"holds \['names', 'colours'\]; expected names"),
        ("names: [yes, no]", "expected a list of strings; quote names"),
        ("names: [a, a]", "class names used twice: a"),
        ("names: [a, b]\ncolors: [[1, 2], [3, 4]]", "labels.yaml"),
        ("names: [a, b]\ncolors: 5", "labels.yaml"),
    ],
)
def test_a_wrong_file_of_labels_is_told_by_name(text, told, scenes_root):
    (scenes_root / "labels.yaml").write_text(text)
    with pytest.raises(DataError, match=told) as caught:
        create_reader(DataOptions(reader="folder", root=str(scenes_root)))
    assert str(scenes_root / "labels.yaml") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_class_names_at_all_is_told(scenes_root):
    (scenes_root / "labels.yaml").unlink()
    with pytest.raises(DataError, match=r"has none of labels\.yaml, classes\.txt"):
        create_reader(DataOptions(reader="folder", root=str(scenes_root)))


def test_generated_scenes_have_three_channels():
    with pytest.raises(ConfigError, match="channels=4"):
        create_reader(DataOptions(reader="scenes", channels=4))


def test_other_channels_are_read_as_the_files_have_them(tmp_path, save):
    bands = np.random.default_rng(0).integers(0, 65536, (6, 9, 5)).astype(np.uint16)
    (tmp_path / "val" / "images").mkdir(parents=True)
    np.save(tmp_path / "val" / "images" / "a.npy", bands)
    save(np.zeros((6, 9), np.uint8), tmp_path / "val" / "masks" / "a.png")
    reader = create_reader(
        DataOptions(reader="folder", root=str(tmp_path), layout=labelled(classes=("a",)), channels=5)
    )
    (record,) = reader.records("val")
    assert np.array_equal(reader.read(record).image, bands)
    shutil.rmtree(tmp_path / "val" / "masks")
    with pytest.raises(DataError, match="masks does not exist"):
        reader.records("val")


def test_one_folder_needs_a_division(tmp_path, save):
    save(np.zeros((4, 4, 3), np.uint8), tmp_path / "images" / "a.png")
    layout = LayoutOptions(files=FileOptions(images="images", masks="masks"), labels=LabelOptions(classes=("a",)))
    with pytest.raises(
        ConfigError, match=r"images='images' is the same for train, val and test; .*set layout.splits.fra"
    ):
        create_reader(DataOptions(reader="folder", root=str(tmp_path), layout=layout))


@pytest.mark.parametrize(
    ("files", "labels", "told"),
    [
        ({"masks": "{split}/{class}"}, {"classes": ("a",)}, 'if and only if encoding is "files"'),
        ({}, {"classes": ("a",), "encoding": "files"}, 'if and only if encoding is "files"'),
        ({"images": "{split}/i/{name}.jpg"}, {"classes": ("a",)}, r"expected \{name\} in both"),
        ({}, {"classes": ("a",), "encoding": "color"}, "with classes but without colors"),
        ({}, {"classes": ("a", "b", "c"), "encoding": "binary"}, "3 classes with encoding='binary'"),
    ],
)
def test_options_that_contradict_each_other_are_told(files, labels, told, tmp_path):
    layout = LayoutOptions(files=FileOptions(**files), labels=LabelOptions(**labels))
    with pytest.raises(ConfigError, match=told):
        create_reader(DataOptions(reader="folder", root=str(tmp_path), layout=layout))


def test_without_any_list_the_training_masks_colours_are_the_classes(tmp_path, save):
    colors = np.array([[0, 0, 0], [0, 90, 0], [255, 255, 255], [7, 8, 9]], np.uint8)
    for split, ids in (("train", [[0, 1, 2], [2, 1, 3]]), ("val", [[1, 1, 3], [0, 0, 0]])):
        save(np.zeros((2, 3, 3), np.uint8), tmp_path / split / "images" / "a.png")
        save(colors[np.array(ids)], tmp_path / split / "masks" / "a.png")
    layout = labelled(encoding="color", ignored_colors=((255, 255, 255),))
    reader = create_reader(DataOptions(reader="folder", root=str(tmp_path), layout=layout))
    assert reader.labels.names == ("#000000", "#005a00", "#070809")
    assert reader.labels.colors == ((0, 0, 0), (0, 90, 0), (7, 8, 9))
    assert reader.read(reader.records("train")[0]).mask.tolist() == [[0, 1, 255], [255, 1, 2]]
    assert reader.read(reader.records("val")[0]).mask.tolist() == [[1, 1, 2], [0, 0, 0]]


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_turned_photograph_and_its_mask_stay_together(orientation, tmp_path, save):
    """The mask was drawn on the photograph as a person sees it, or carries the same orientation itself."""
    upright = np.kron(np.arange(6, dtype=np.uint8).reshape(2, 3), np.ones((16, 16), np.uint8))
    exif = Image.Exif()
    exif[274] = orientation
    # the camera stores the pixels so that the orientation turns them upright
    store = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]
    stored = Image.fromarray(upright).transpose(Image.Transpose(store))
    folder = tmp_path / "val" / "images"
    folder.mkdir(parents=True)
    for name in "ab":
        stored.point(lambda value: value * 40).convert("RGB").save(folder / f"{name}.jpg", exif=exif, quality=100)
    save(upright, tmp_path / "val" / "masks" / "a.png")
    stored.save(tmp_path / "val" / "masks" / "b.png", exif=exif)
    reader = create_reader(DataOptions(reader="folder", root=str(tmp_path), layout=labelled(classes=tuple("abcdef"))))
    for record in reader.records("val"):
        sample = reader.read(record)
        assert np.array_equal(sample.mask, upright)
        assert np.abs(sample.image[..., 0].astype(int) - upright * 40).max() <= 3
        assert reader.inspect(record).size == upright.shape


def test_folders_of_other_names_and_divided_ones_are_read_as_the_options_say(scenes_root):
    (scenes_root / "val").rename(scenes_root / "valid")
    named = LayoutOptions(splits=SplitOptions(val="valid"))
    reader = create_reader(DataOptions(reader="folder", root=str(scenes_root), layout=named))
    assert paired_root(reader) is None, "whose users put the split's own name into its pattern"
    assert len(reader.records("val")) == 3
    divided = LayoutOptions(splits=SplitOptions(fractions=(0.5, 0.5, 0.0)))
    reader = create_reader(DataOptions(reader="folder", root=str(scenes_root), layout=divided))
    assert paired_root(reader) is None
    assert [len(reader.records(split)) for split in ("train", "val")] == [2, 2]
    assert paired_root(create_reader(DataOptions(reader="folder", root=str(scenes_root)))) == scenes_root


@pytest.fixture
def overlapping(tmp_path, save):
    """A function that writes overlapping classes a, b, c, as bands or files, and returns the options of the reader."""

    def write(encoding, change=lambda mask: mask, **labels):
        for split, first in (("train", 1), ("val", 11)):
            for seed in range(4):
                image, mask = overlapping_scene(seed + first, 32, 40)
                save(image, tmp_path / split / "images" / f"{seed}.png")
                if encoding == "bands":
                    save(change(mask), tmp_path / split / "masks" / f"{seed}.png")
                    continue
                for index, name in enumerate("abc"):
                    if index == 0 or mask[..., index].any():
                        save(change(mask[..., index] * 255), tmp_path / split / "masks" / f"{seed}_{name}.png")
        masks = "{split}/masks/{name}_{class}.png" if encoding == "files" else ""
        options = LabelOptions(("a", "b", "c"), encoding=encoding, overlapping=True, **labels)
        layout = LayoutOptions(files=FileOptions(masks=masks), labels=options)
        return DataOptions(reader="folder", root=str(tmp_path), layout=layout)

    return write


@pytest.mark.parametrize("encoding", ["bands", "files"])
@pytest.mark.parametrize("cache", ["none", "memory", "disk"])
def test_overlapping_classes_come_from_bands_or_files(encoding, cache, overlapping, tmp_path):
    options = replace(overlapping(encoding), cache=cache, cache_folder=str(tmp_path / "cache"))
    reader = create_reader(options)
    assert reader.labels.overlapping
    records = reader.records("train")
    source = sample_source(options, reader, records)
    expected = np.stack([overlapping_scene(seed + 1, 32, 40)[1] for seed in range(4)])
    for record, mask in zip(records * 2, [*expected] * 2, strict=True):
        assert np.array_equal(source.read(record).mask, mask)
    pixels = (expected == 1).sum(axis=(1, 2))
    assert np.array_equal(check_split(reader, "train").class_pixels, pixels)
    assert np.array_equal(count_class_pixels(reader, records), pixels)
    found = split_statistics(reader, "train")
    assert (found.class_pixels, found.ignored) == (tuple(pixels.sum(axis=0).tolist()), 0)
    assert found.class_images == tuple((pixels > 0).sum(axis=0).tolist())
    assert not examine(reader, options, list_splits(reader)).count("error")


def test_white_bands_that_would_be_ignored_are_an_error_with_its_remedy(overlapping):
    reader = create_reader(overlapping("bands", lambda mask: mask * 255))
    with pytest.raises(DataError, match=r"all mask pixels .* are ignored .* set layout.labels.ignore_index to another"):
        check_split(reader, "train")
    sound = create_reader(overlapping("bands", lambda mask: mask * 255, ignore_index=254))
    assert check_split(sound, "train").class_pixels.any()


def test_overlapping_classes_need_an_encoding_that_holds_them(overlapping):
    options = overlapping("bands")
    labels = replace(options.layout.labels, encoding="index")
    with pytest.raises(ConfigError, match="encoding='index' with overlapping classes; expected files or bands"):
        create_reader(replace(options, layout=replace(options.layout, labels=labels)))
