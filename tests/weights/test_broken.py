"""Broken and hostile files give one line each: nothing is run, no network is half loaded."""

from __future__ import annotations

import contextlib
import io
import json
import pickle
import random
import tarfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tensorflow_writer import write_checkpoint, write_graph

from xseg.encoders.variants import encoder_spec
from xseg.encoders.xception import XceptionEncoder
from xseg.errors import WeightsError
from xseg.weights.convert import convert
from xseg.weights.formats.read import read_source
from xseg.weights.load import load_encoder_weights

FLIPS = 40


def refusal(function, *arguments) -> str:
    with pytest.raises(WeightsError) as caught:
        function(*arguments)
    text = str(caught.value)
    assert "\n" not in text
    assert text
    return text


def outcome(path):
    """Return what is read, or the line that refuses it; anything else is raised."""
    try:
        source = read_source(path)
        with contextlib.suppress(WeightsError):
            convert(source)
    except WeightsError as error:
        return str(error)
    return source


def meta_state(name):
    with torch.device("meta"):
        return XceptionEncoder(encoder_spec(name)).state_dict()


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Return an encoder's state in our own layout: X-41, constant tensors."""
    return {
        name: torch.full(tensor.shape, 0.5)
        if tensor.is_floating_point()
        else torch.zeros(tensor.shape, dtype=torch.int64)
        for name, tensor in meta_state("xception41").items()
    }


def written(state, folder: Path) -> Path:
    save_file(state, folder / "encoder.safetensors")
    return folder / "encoder.safetensors"


def test_a_missing_tensor_is_named_with_the_nearest_name(own, tmp_path):
    state = {name.replace("blocks.3.convs.1.depthwise", "blocks.3.convs.1.depthwize"): t for name, t in own.items()}
    text = refusal(convert(read_source(written(state, tmp_path))).encoder_state)
    assert "missing blocks.3.convs.1.depthwise.weight, nearest blocks.3.convs.1.depthwize.weight" in text


def test_a_transposed_tensor_is_named_with_both_shapes(own, tmp_path):
    state = {
        **own,
        "blocks.0.convs.0.pointwise.weight": torch.ones(64, 128, 1, 1),
    }
    text = refusal(convert(read_source(written(state, tmp_path))).encoder_state)
    assert "[64, 128, 1, 1], expected [128, 64, 1, 1]" in text


def test_one_nan_is_found(own, tmp_path):
    bad = own["blocks.5.convs.0.pointwise.weight"].clone()
    bad[3, 4] = float("nan")
    text = refusal(convert, read_source(written({**own, "blocks.5.convs.0.pointwise.weight": bad}, tmp_path)))
    assert "blocks.5.convs.0.pointwise.weight has 1 of" in text


def test_large_but_finite_values_are_no_damage(own, tmp_path):
    large = torch.full_like(own["blocks.5.convs.0.pointwise.weight"], 3e38)
    convert(read_source(written({**own, "blocks.5.convs.0.pointwise.weight": large}, tmp_path))).encoder_state()


def test_negative_variances_are_found(own, tmp_path):
    state = {**own, "stem.conv1.norm.running_var": torch.full((32,), -1.0)}
    assert "negative variances" in refusal(convert(read_source(written(state, tmp_path))).encoder_state)


def test_an_unknown_tensor_stops_the_run(own, tmp_path):
    state = {**own, "stem.conv3.conv.weight": torch.ones(3)}
    assert "stem.conv3.conv.weight" in refusal(convert(read_source(written(state, tmp_path))).encoder_state)


def test_an_encoder_is_unchanged_after_a_refusal(own, tmp_path):
    encoder = XceptionEncoder(encoder_spec("xception41"), depth=2)
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    state = dict(own)
    del state["blocks.12.convs.2.pointwise.weight"]
    refusal(load_encoder_weights, encoder, written(state, tmp_path))
    assert all(torch.equal(before[name], tensor) for name, tensor in encoder.state_dict().items())


def test_a_65_as_a_41_is_refused_in_both_layouts(deeplab_tensors, tmp_path):
    renamed = {name.replace("xception_41", "xception_65"): value for name, value in deeplab_tensors.items()}
    write_graph(tmp_path / "g.pb", renamed)
    assert "8 middle units" in refusal(convert, read_source(tmp_path / "g.pb"))
    timm = {f"blocks.{index}.stack.conv1.conv_dw.weight": torch.ones(1) for index in range(15)}
    save_file({"stem.0.conv.weight": torch.ones(1), **timm}, tmp_path / "t.safetensors")
    assert "15 blocks" in refusal(convert, read_source(tmp_path / "t.safetensors"))


def test_a_head_of_unequal_class_counts_is_refused(deeplab_tensors, tmp_path):
    from xseg.models.build import build_model

    tensors = {**deeplab_tensors, "logits/semantic/biases": np.ones(19, np.float32)}
    write_graph(tmp_path / "g.pb", tensors)
    conversion = convert(read_source(tmp_path / "g.pb"))
    with torch.device("meta"):
        wanted = build_model(conversion.config).state_dict()
    assert "logits/semantic/biases has shape [19], expected [21]" in refusal(conversion.model_state, wanted)


class Bomb:
    """What a hostile pickle runs when it is opened."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_that_would_run_code_is_refused_and_not_run(tmp_path, legacy):
    mark, path = tmp_path / "ran", tmp_path / "evil.pth"
    torch.save({"conv1.weight": torch.ones(1), "x": Bomb(mark)}, path, _use_new_zipfile_serialization=not legacy)
    text = refusal(read_source, path)
    assert "it needs " in text
    assert "without running code" in text
    assert "trust" not in text  # torch's own advice is to load it nevertheless
    (tmp_path / "bare.pth").write_bytes(pickle.dumps(Bomb(mark)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "it holds other objects" in refusal(read_source, tmp_path / "bare.pth")
    assert not mark.exists()


@pytest.mark.parametrize("name", ["evil.keras", "evil.pth"])
def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path, name):
    member = "model.weights.h5" if name.endswith("keras") else "archive/data.pkl"
    with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, bytes(50 << 20))
    assert "exhaust memory" in refusal(read_source, tmp_path / name)


def test_a_tensor_that_claims_to_be_enormous_is_refused(tmp_path):
    torch.save({"conv1.weight": torch.ones(1).expand(1 << 20, 1 << 12)}, tmp_path / "wide.pth")
    assert "claims" in refusal(read_source, tmp_path / "wide.pth")
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "wide.h5", "w") as file:
        group = file.create_group("a")
        group.create_dataset("kernel", (1 << 16, 1 << 16), "f4", chunks=(1024, 1024), compression="gzip")
        group.attrs["weight_names"] = ["kernel"]
        file.attrs["layer_names"] = ["a"]
    assert "claims" in refusal(read_source, tmp_path / "wide.h5")


def test_packed_hdf5_that_unpacks_a_thousandfold_is_refused(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "bomb.h5", "w") as file:
        group = file.create_group("a")
        group.create_dataset("kernel", data=np.zeros((2048, 2048), np.float32), compression="gzip")
        group.attrs["weight_names"] = ["kernel"]
        file.attrs["layer_names"] = ["a"]
    assert "exhaust memory" in refusal(read_source, tmp_path / "bomb.h5")


def test_hdf5_that_leads_elsewhere_is_refused(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["kernel"] = np.ones((3, 3, 3, 32), np.float32)
    for link in (h5py.ExternalLink(str(tmp_path / "secret.h5"), "/kernel"), h5py.SoftLink("/b/kernel")):
        with h5py.File(tmp_path / "link.h5", "w") as file:
            group = file.create_group("a")
            group["kernel"] = link
            group.attrs["weight_names"] = ["kernel"]
            file.attrs["layer_names"] = ["a"]
        assert "is a link to another place" in refusal(read_source, tmp_path / "link.h5")


def tar(path, members):
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            if data is None:
                info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
                archive.addfile(info)
            else:
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize(
    "members",
    [
        [("../model.ckpt.index", b"x")],
        [("/tmp/model.ckpt.index", b"x")],
        [("a/../../model.ckpt.index", b"x")],
        [("model/model.ckpt.index", None)],
        [("a/model.ckpt.index", b"x"), ("b/model.ckpt.index", b"y")],
        [("readme.txt", b"x")],
    ],
)
def test_hostile_and_empty_tars_write_nothing_outside(tmp_path, members):
    folder = tmp_path / "inside"
    folder.mkdir()
    refusal(read_source, tar(folder / "weights.tar.gz", members))
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["inside", "weights.tar.gz"]


def test_a_tar_of_the_model_zoo_is_read(tmp_path):
    tensors = {f"a/{index}/weights": np.full(4, index, np.float32) for index in range(4)}
    write_checkpoint(tmp_path / "model.ckpt", tensors)
    with tarfile.open(tmp_path / "zoo.tar", "w") as archive:
        for path in tmp_path.glob("model.ckpt.*"):
            archive.add(path, f"deeplabv3_pascal_train_aug/{path.name}")
    read = read_source(tmp_path / "zoo.tar").tensors
    assert {name: value.tolist() for name, value in read.items()} == {
        name: value.tolist() for name, value in tensors.items()
    }


def test_a_missing_shard_and_a_lone_shard_are_named(tmp_path):
    tensors = {f"a/{index}/weights": np.ones(4, np.float32) for index in range(4)}
    write_checkpoint(tmp_path / "model.ckpt", tensors, shards=2)
    (tmp_path / "model.ckpt.data-00001-of-00002").unlink()
    assert "no model.ckpt.data-00001-of-00002" in refusal(read_source, tmp_path / "model.ckpt")
    (tmp_path / "model.ckpt.index").unlink()
    assert "no index" in refusal(read_source, tmp_path / "model.ckpt.data-00000-of-00002")


def test_a_flipped_bit_in_a_checkpoint_never_passes(tmp_path):
    tensors = {f"a/{index}/weights": np.ones((4, 5), np.float32) for index in range(30)}
    write_checkpoint(tmp_path / "model.ckpt", tensors)
    for part in ("index", "data-00000-of-00001"):
        path = tmp_path / f"model.ckpt.{part}"
        whole, draw = path.read_bytes(), random.Random(1)
        for _ in range(FLIPS):
            at = draw.randrange(len(whole))
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << draw.randrange(8)]) + whole[at + 1 :])
            read = outcome(tmp_path / "model.ckpt")
            if not isinstance(read, str):  # a byte that means nothing: padding of the footer
                assert all(np.array_equal(tensors[name], value.numpy()) for name, value in read.tensors.items())
        path.write_bytes(whole)


def small_files(folder):
    """Write a small file of every kind that is read."""
    tensors = {f"block{index}_conv1": torch.rand(3, 4) for index in range(20)}
    save_file(tensors, folder / "a.safetensors")
    torch.save({"state_dict": tensors, "epoch": 3}, folder / "a.pth")
    torch.save(tensors, folder / "old.pth", _use_new_zipfile_serialization=False)
    arrays = {f"a/{name}/weights": value.numpy() for name, value in tensors.items()}
    write_graph(folder / "g.pb", arrays)
    write_checkpoint(folder / "model.ckpt", arrays)
    with tarfile.open(folder / "zoo.tar.gz", "w:gz") as archive:
        for path in folder.glob("model.ckpt.*"):
            archive.add(path, path.name)
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "legacy.h5", "w") as file:
        for name, value in tensors.items():
            group = file.create_group(name)
            group["kernel:0"] = value.numpy()
            group.attrs["weight_names"] = [b"kernel:0"]
        file.attrs["layer_names"] = [name.encode() for name in tensors]
    with h5py.File(folder / "model.weights.h5", "w") as file:
        for index, value in enumerate(tensors.values()):
            file[f"layers/dense_{index}/vars/0"] = value.numpy()
    with zipfile.ZipFile(folder / "a.keras", "w") as archive:
        archive.write(folder / "model.weights.h5", "model.weights.h5")
        archive.writestr("config.json", json.dumps({"class_name": "Functional", "config": {"layers": []}}))
    return ["a.safetensors", "a.pth", "old.pth", "g.pb", "zoo.tar.gz", "legacy.h5", "model.weights.h5", "a.keras"]


def test_truncated_and_flipped_files_of_every_kind_give_tensors_or_one_line(tmp_path):
    for name in small_files(tmp_path):
        path = tmp_path / name
        whole, draw = path.read_bytes(), random.Random(name)
        assert read_source(path).tensors
        damaged = [whole[: len(whole) * part // 8] for part in range(8)]
        for _ in range(FLIPS):
            at = draw.randrange(len(whole))
            damaged.append(whole[:at] + draw.randbytes(1) + whole[at + 1 :])
        outcomes = []
        for data in damaged:
            path.write_bytes(data)
            outcomes.append(isinstance(outcome(path), str))
        path.write_bytes(whole)
        assert any(outcomes[:8]), name


@pytest.mark.parametrize(
    ("names", "project"),
    [
        (["block20.rep.0.conv1.weight", "conv5.pointwise.weight", "conv1.weight"], "jfzhang95"),
        (["backbone.block12.rep.1.conv1.weight", "classifier.aspp.convs.0.0.weight"], "VainF"),
        (["backbone._exit_flow_2._conv1._conv1.weight", "backbone._conv1._conv.weight"], "PaddleSeg"),
    ],
)
def test_ports_that_differ_are_refused_with_the_reason(tmp_path, names, project):
    save_file({name: torch.ones(1) for name in names}, tmp_path / "port.safetensors")
    text = refusal(convert, read_source(tmp_path / "port.safetensors"))
    assert project in text
    assert "cannot be converted faithfully" in text


def test_paddles_own_files_and_unknown_files_are_one_line(tmp_path):
    (tmp_path / "model.pdparams").write_bytes(b"\x80\x02}q\x00.")
    assert "Paddle" in refusal(read_source, tmp_path / "model.pdparams")
    for data in (b"", b"hello world, this is text", b"\x00" * 64):
        (tmp_path / "x.bin").write_bytes(data)
        refusal(read_source, tmp_path / "x.bin")
    assert "does not exist" in refusal(read_source, tmp_path / "nothing")
    refusal(read_source, tmp_path)
