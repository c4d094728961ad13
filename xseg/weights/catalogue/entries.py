"""Catalogue of published weights, with their addresses, uses, licences and scores."""

from __future__ import annotations

from dataclasses import dataclass

from xseg.errors import WeightsError, did_you_mean

DEEPLAB = "http://download.tensorflow.org/models/"
KERAS = "https://storage.googleapis.com/tensorflow/keras-applications/xception/"
BONLIME = "https://github.com/bonlime/keras-deeplab-v3-plus/releases/download/"
CADENE = "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-cadene/"
SEGMENTRON = "https://github.com/LikeLy-Journey/SegmenTron/releases/download/v0.1.0/"
RANGE = "[-1, 1]"  # x / 127.5 - 1 for 8-bit RGB: mean 0.5 and standard deviation 0.5 for values in [0, 1]
HEADER = ("name", "also", "origin", "what", "MB", "checksum", "licence", "input", "published score")
ZOO = "TF DeepLab g3doc/model_zoo.md"
TIMM = "timm xception_aligned.py default_cfgs; timm results/results-imagenet.csv (size: of the tensors)"


@dataclass(frozen=True)
class HubFile:
    """A file of a repository "owner/name" on the Hugging Face Hub, at a commit that holds it; None for the newest."""

    repo: str
    filename: str = "model.safetensors"
    revision: str | None = None


@dataclass(frozen=True)
class WebFile:
    """A file at an address, with its published checksums, if any."""

    url: str
    md5: str | None = None
    sha256: str | None = None

    @property
    def filename(self) -> str:
        """Last part of the address."""
        return self.url.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Entry:
    """One published set of weights.

    Args:
        encoder: name of the encoder.
        names: names that select the entry for this encoder; the first one is unique.
        origin: project whose file layout the weights have.
        place: location of the file.
        megabytes: published size of the file, or of its tensors; None if unknown.
        license: published licence of the weights.
        classes: number of outputs; None if not published; 1000 or 1001 for ImageNet's classifier, which is left out.
        whole: whether the weights are those of a whole segmentation model.
        score: published score with its conditions; empty if there is none.
        source: source of size and score.
        input_range: range of input values in training.
    """

    encoder: str
    names: tuple[str, ...]
    origin: str
    place: HubFile | WebFile
    megabytes: float | None
    license: str
    classes: int | None
    whole: bool = False
    score: str = ""
    source: str = ""
    input_range: str = RANGE

    @property
    def key(self) -> str:
        """Unique key "ENCODER/NAME"."""
        return f"{self.encoder}/{self.names[0]}"

    @property
    def checksum(self) -> str:
        """Checksum with which a downloaded file is compared."""
        if isinstance(self.place, HubFile):
            return "SHA-256, from the Hub"
        if self.place.sha256:
            return f"SHA-256 {self.place.sha256}"
        if self.place.md5:
            return f"MD5 {self.place.md5}"
        return "CRC-32C of every tensor" if self.origin == "tensorflow" else "none published"


def _cadene(names: str, place: HubFile | WebFile, score: str, source: str) -> Entry:
    listed = tuple(names.split())
    return Entry("xception", listed, "cadene", place, 87.4, "Apache-2.0", 1000, score=score, source=source)


def _timm(encoder: str, *names: str, megabytes: float, score: str) -> Entry:
    place = HubFile(f"timm/{encoder}.{names[0]}")
    top1, top5, crop = score.split()
    score_text = f"ImageNet top-1 {top1}, top-5 {top5} at 299, crop {crop}"
    return Entry(encoder, names, "timm", place, megabytes, "Apache-2.0", 1000, score=score_text, source=TIMM)


def _deeplab(encoder: str, name: str, file: str, megabytes: float, classes: int | None, score: str = "") -> Entry:
    place = WebFile(f"{DEEPLAB}{file}.tar.gz")
    whole = classes is None or classes < 1000
    names = tuple(name.split())
    return Entry(encoder, names, "tensorflow", place, megabytes, "Apache-2.0", classes, whole, score, ZOO)


def _deeplab_model(name: str, file: str, classes: int, score: str, scales: str = "seven") -> Entry:
    said = f"{score.replace(' at ', ' at output stride ', 1)} with {scales} scales and flips"
    return _deeplab("xception65", name, f"deeplabv3_{file}", 439, classes, said)


def _bonlime(data: str, file: str, classes: int, original: str) -> Entry:
    place = WebFile(f"{BONLIME}{file}.h5")
    score, source = f"TF DeepLab's {original}", "bonlime model.py"
    return Entry("xception65", (f"{data}_bonlime",), "bonlime", place, None, "MIT", classes, True, score, source)


def _segmentron(data: str, file: str, classes: int, score: str, source: str) -> Entry:
    names, place = (f"{data}_segmentron",), WebFile(f"{SEGMENTRON}{file}.pth")
    whole, source = classes < 1000, f"SegmenTron {source}"
    return Entry("xception65", names, "segmentron", place, None, "not stated", classes, whole, score, source)


# "imagenet" selects an encoder's weights with the best published score below. The original Xception has one set of
# weights, Keras's; the others are ports. SMP's copy can be resumed, has a SHA-256 and needs no h5py.
CATALOGUE: tuple[Entry, ...] = (
    _cadene(
        "smp imagenet",
        HubFile("smp-hub/xception.imagenet", revision="01cfaf27c11353b1f0c578e7e26d2c000ea91049"),
        score="Cadene's file",
        source="segmentation_models_pytorch encoders/xception.py (size: of the tensors)",
    ),
    Entry(
        "xception",
        ("keras", "imagenet_keras"),
        "keras",
        WebFile(f"{KERAS}xception_weights_tf_dim_ordering_tf_kernels_notop.h5", md5="b0042744bf5b25fce3cb969f33bebb97"),
        79.8,
        "MIT",
        1000,
        score="ImageNet top-1 79.0, top-5 94.5 at 299",
        source="keras.applications xception.py, file_hash; Chollet 2017, Table 1; 83,683,744 bytes at its address",
    ),
    _cadene(
        "cadene tf_in1k",
        WebFile(f"{CADENE}xception-43020ad28.pth"),
        score="ImageNet top-1 79.040, top-5 94.382 at 299, crop 0.897",
        source="timm xception.py default_cfgs (legacy_xception.tf_in1k); timm results/results-imagenet.csv",
    ),
    _timm("xception41", "tf_in1k", "imagenet", megabytes=103.3, score="78.504 94.276 0.903"),
    _timm("xception65", "ra3_in1k", "imagenet", megabytes=153.0, score="83.182 96.592 0.940"),
    _timm("xception65", "tf_in1k", megabytes=153.0, score="79.556 94.654 0.903"),
    _timm("xception71", "tf_in1k", "imagenet", megabytes=162.3, score="79.872 94.928 0.903"),
    _timm("xception41p", "ra3_in1k", "imagenet", megabytes=102.8, score="81.972 95.796 0.940"),
    _timm("xception65p", "ra3_in1k", "imagenet", megabytes=152.2, score="83.136 96.484 0.940"),
    _deeplab("xception41", "imagenet_deeplab", "xception_41_2018_05_09", 288, 1001),
    _deeplab("xception65", "imagenet_deeplab", "deeplabv3_xception_2018_01_04", 447, 1001),
    _deeplab("xception71", "imagenet_deeplab", "xception_71_2018_05_09", 474, 1001),
    _deeplab("xception65", "coco_deeplab coco", "xception_65_coco_pretrained_2018_10_02", 292, None),
    _deeplab_model("voc_trainaug voc", "pascal_train_aug_2018_01_04", 21, "VOC 2012 val mIoU 82.20 at 16, 83.58 at 8"),
    _deeplab_model("voc_trainval", "pascal_trainval_2018_01_04", 21, "VOC 2012 test mIoU 87.80 at 8"),
    _deeplab_model(
        "cityscapes_trainfine cityscapes",
        "cityscapes_train_2018_02_06",
        19,
        "Cityscapes val mIoU 78.79 at 16, 80.42 at 8",
        "three",
    ),
    _deeplab_model(
        "ade20k_train ade20k",
        "xception_ade20k_train_2018_05_29",
        151,
        "ADE20K val mIoU 45.65, pixel accuracy 82.52, at 8",
    ),
    _bonlime("voc", "1.1/deeplabv3_xception_tf_dim_ordering_tf_kernels", 21, "voc_trainaug"),
    _bonlime("cityscapes", "1.2/deeplabv3_xception_tf_dim_ordering_tf_kernels_cityscapes", 19, "cityscapes_trainfine"),
    _segmentron("imagenet", "tf-xception65-270e81cf", 1000, "", "segmentron/models/backbones/build.py"),
    _segmentron(
        "cityscapes",
        "deeplabv3_plus_xception_segmentron",
        19,
        "Cityscapes val mIoU 78.93 at output stride 16, images of 1025x2049",
        "README.md, model zoo",
    ),
)


def find_entry(name: str, encoder: str | None = None) -> Entry | None:
    """Return the entry that a name selects.

    Args:
        name: name of an entry if the encoder is given, otherwise "ENCODER/NAME".
        encoder: encoder for the weights.

    Returns:
        The entry; None if there is none, or if there are several and no encoder is given.
    """
    prefix, slash, rest = name.partition("/")
    if slash and encoder in (None, prefix):
        encoder, name = prefix, rest
    found = [entry for entry in CATALOGUE if name in entry.names and encoder in (None, entry.encoder)]
    return found[0] if len(found) == 1 else None


def names_for(encoder: str | None) -> list[str]:
    """Return the names for an encoder, or all as "ENCODER/NAME"."""
    if encoder is None:
        return [f"{entry.encoder}/{name}" for entry in CATALOGUE for name in entry.names]
    return [name for entry in CATALOGUE if entry.encoder == encoder for name in entry.names]


def unknown(name: str, encoder: str | None, kinds: str) -> WeightsError:
    """Return the error for a name that is neither a path nor in the catalogue, with the nearest name."""
    names = names_for(encoder)
    listed = ", ".join(names) if encoder else "a name from the catalogue, such as xception65/imagenet"
    got = f"weights {name!r} do not exist" + (f" for {encoder}" if encoder else "")
    return WeightsError(got, expected=f"{listed}, or the path of {kinds}", remedy=did_you_mean(name, names))


def table() -> list[str]:
    """Return the catalogue as lines of a Markdown table with aligned columns."""
    rows = [HEADER, *(_cells(entry) for entry in CATALOGUE)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, tuple("-" * width for width in widths))
    return [f"| {' | '.join(map(str.ljust, row, widths))} |" for row in rows]


def places() -> list[str]:
    """Return one line per entry with the address of the file and the source of its data."""
    lines = []
    for entry in CATALOGUE:
        place = entry.place
        where = f"Hugging Face Hub {place.repo}, {place.filename}" if isinstance(place, HubFile) else place.url
        lines.append(f"- {entry.key}: {where}. Source: {entry.source}")
    return lines


def _cells(entry: Entry) -> tuple[str, ...]:
    what = "encoder" if not entry.whole else f"DeepLabV3+, classes {entry.classes or 'not published'}"
    size = "" if entry.megabytes is None else f"{entry.megabytes:g}"
    first = (entry.key, ", ".join(entry.names[1:]), entry.origin, what, size)
    return (*first, entry.checksum, entry.license, entry.input_range, entry.score)
