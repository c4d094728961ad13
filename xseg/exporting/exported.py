"""Models as files for other programs: written with proof, and read back."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xseg.bundles.bundle import Bundle
from xseg.errors import ConfigError, ShapeError, WeightsError
from xseg.exporting.cache import fingerprint
from xseg.exporting.format import EXAMPLE, Program, Session
from xseg.exporting.formats import FORMATS
from xseg.exporting.graph import ImageGraph
from xseg.exporting.options import FormatName, GraphOptions
from xseg.exporting.proof import Case, graph_input, prove
from xseg.files.atomic import write_text
from xseg.files.serialization import from_plain
from xseg.images.normalization import Normalization
from xseg.labels.decision import Decision
from xseg.labels.label_map import LabelMap
from xseg.models.coarse import CoarseNetwork
from xseg.models.segmentation import SegmentationModel
from xseg.types import PathArgument
from xseg.version import __version__

CERTAIN = 30.0  # logit of a label whose probability is not known: e^-30 is nothing beside 1
_LABEL_FIELDS = ("ignore_index", "raw_ids", "ignored_raw_ids", "background")


def export_model(
    bundle: Bundle[SegmentationModel],
    output: PathArgument,
    *,
    format: FormatName,  # noqa: A002 - the field's word
    options: GraphOptions | None = None,
    images: Iterable[tuple[str, NDArray[np.float32]]] = (),
    advice: Mapping[str, Any] | None = None,
) -> list[Case]:
    """Write a model to a file, with normalisation and resizing inside, once it is proven equal to the model.

    A second file, `output` with the suffix .proof.json, lists the comparisons.

    Args:
        bundle: model, labels and normalisation.
        output: path of the file, with the format's suffix; replaced if it exists.
        format: name of the format: onnx, openvino, pt2 or torchscript.
        options: what the graph takes and gives.
        images: names and stored values (H, W, C) of images to compare on, besides generated ones.
        advice: further values for the file's metadata, such as the size of tiles.

    Returns:
        The comparisons.

    Raises:
        ConfigError: if the model cannot be exported with the options, or the file would compute something else; no
            file is written then.
        MissingExtraError: if a package of the format is not installed.
    """
    target, options = Path(output), options or GraphOptions()
    if format not in FORMATS:
        raise ConfigError(f"format={format!r}", expected=f"one of {', '.join(FORMATS)}")
    form = FORMATS[format]
    if target.suffix != form.suffix:
        raise ConfigError(f"output={target} for format={format}", expected=f"a name that ends in {form.suffix}")
    form.require_packages(f"--format {format}")
    model = bundle.model.cpu().eval()
    decision = bundle.decision.requested(options.threshold, bundle.labels)
    scale = bundle.normalization
    graph = ImageGraph(CoarseNetwork(model), scale, decision, classes=len(bundle.labels), options=options)
    shape = (1, *options.size) if options.size else EXAMPLE
    example = graph_input(torch.zeros(*shape, scale.channels), scale, options)
    free = () if options.size else (0, 1, 2) if options.layout == "nhwc" else (0, 2, 3)
    described = {**_describe(bundle, options, decision), **(advice or {})}
    metadata = {name: json.dumps(value) for name, value in described.items()}
    program = Program(graph, example, free, options.outputs, computes_sizes=not options.size, metadata=metadata)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=target.parent) as folder:
        fresh = Path(folder) / target.name
        try:
            form.write(program, fresh)
        except Exception as error:
            raise ConfigError(
                f"{bundle.model.config.architecture} with {bundle.model.config.encoder} cannot be written as {format}: "
                f"{type(error).__name__}: {str(error).partition(chr(10))[0]}",
                remedy="try another --format, or a fixed --size",
            ) from error
        cases = prove(form.read(fresh, "float32"), model, scale, options, images, decision=decision)
        proof = {"xseg_version": __version__, "format": format, "cases": [asdict(case) for case in cases]}
        write_text(target.with_suffix(".proof.json"), json.dumps(proof, indent=2) + "\n")
        for file in sorted(Path(folder).iterdir(), key=lambda file: file.suffix == form.suffix):
            file.replace(target.parent / file.name)
    return cases


def _describe(bundle: Bundle[SegmentationModel], options: GraphOptions, decision: Decision) -> dict[str, Any]:
    config = bundle.model.config
    return {
        "xseg_version": __version__,
        "architecture": config.architecture,
        "encoder": config.encoder,
        "output_stride": config.output_stride,
        "class_names": bundle.labels.names,
        "palette": bundle.labels.colors,
        **{name: getattr(bundle.labels, name) for name in _LABEL_FIELDS},
        "channels": bundle.normalization.channels,
        "bands": [*bundle.normalization.bands],
        "maximum": bundle.normalization.maximum,
        "weights_digest": fingerprint(bundle.model),
        "licence": bundle.provenance.get("licence", bundle.provenance.get("license")),
        **asdict(options),
        **asdict(decision),
    }


def is_export(source: PathArgument) -> bool:
    """Return whether a path is a file with the suffix of an export format."""
    path = Path(source)
    return path.suffix in {form.suffix for form in FORMATS.values()} and path.is_file()


class ExportedModel(nn.Module):
    """An exported file as a model: images as shares of their maximum to scores at the images' size.

    The stored value `maximum` stands for 1; `context` is the radius of the network's effective receptive field in
    pixels.
    """

    def __init__(
        self,
        session: Session,
        *,
        maximum: float,
        classes: int,
        options: GraphOptions,
        context: int = 0,
        overlapping: bool = False,
    ) -> None:
        super().__init__()
        self.context = context
        self._session, self._classes, self._options, self._overlapping = session, classes, options, overlapping
        self._stored = Normalization((0.0,), (1.0,), maximum)
        self.place = nn.Parameter(torch.zeros(()), requires_grad=False)  # device and type, as other models have

    def forward(self, images: Tensor) -> Tensor:
        """Score images (N, C, H, W), 0 to 1: (N, classes, H, W) float32, which give the file's probabilities.

        Raises:
            ShapeError: if an image is larger than the fixed size of the file.
        """
        height, width = images.shape[-2:]
        if self._options.size:
            rows, columns = self._options.size
            if height > rows or width > columns:
                got, remedy = f"an image of {height}x{width} pixels for", f"use --tile {min(rows, columns)}"
                raise ShapeError(f"{got} an export of {rows}x{columns}", expected="no larger one", remedy=remedy)
            images = nn.functional.pad(images, [0, columns - width, 0, rows - height], mode="replicate")
        stored = images.permute(0, 2, 3, 1).float() * self._stored.maximum
        batches = torch.split(stored, 1) if self._options.size else (stored,)
        return torch.cat([self._scores(batch) for batch in batches])[..., :height, :width]

    def _scores(self, stored: Tensor) -> Tensor:
        outputs = self._session(graph_input(stored, self._stored, self._options))
        if self._options.result == "logits":
            return outputs[0]
        if self._overlapping:
            shares = outputs[0].permute(0, 3, 1, 2) if self._options.result == "labels" else outputs[0]
            return torch.logit(shares.float()).clamp(-CERTAIN, CERTAIN)
        if self._options.result == "probabilities":
            return outputs[0].clamp_min(1e-30).log()
        chosen = nn.functional.one_hot(outputs[0].long(), self._classes).permute(0, 3, 1, 2).float()
        if self._options.result == "labels":
            return chosen * CERTAIN
        share = outputs[1][:, None]
        rest = (1 - share) / max(self._classes - 1, 1)
        return torch.where(chosen > 0, share, rest).clamp_min(1e-30).log()


@dataclass(frozen=True, eq=False)
class Export:
    """What was read from an exported file: the model, the scale of its stored values, and the file's own `metadata`."""

    model: ExportedModel
    labels: LabelMap
    decision: Decision
    normalization: Normalization
    metadata: Mapping[str, Any]


def read_export(source: PathArgument) -> Export:
    """Read a file that `export_model` wrote. Files of torch are run by torch: read only those of people you trust.

    Raises:
        MissingExtraError: if a package of the format is not installed.
        WeightsError: if the file cannot be read, or was not written by xseg.
    """
    path = Path(source)
    form = next(form for form in FORMATS.values() if form.suffix == path.suffix)
    form.require_packages(f"reading {path}")
    try:
        values = {name: json.loads(text) for name, text in form.metadata(path).items()}
        names, colors = tuple(values["class_names"]), tuple(tuple(color) for color in values["palette"])
        more = {name: values[name] for name in _LABEL_FIELDS if name in values}  # an older file has only the first
        labels = LabelMap.from_dict({"names": names, "colors": colors, **more})
        chosen = {name: values[name] for name in GraphOptions.__dataclass_fields__ if name != "threshold"}
        options = from_plain(GraphOptions, chosen, "options")
        decision = Decision(bool(values.get("overlapping")), tuple(values.get("thresholds", ())))
        channels, maximum = int(values["channels"]), float(values["maximum"])
        normalization = Normalization((0.0,) * channels, (1.0,) * channels, maximum, tuple(values.get("bands", ())))
    except Exception as error:
        raise WeightsError(
            f"{path} has no readable metadata of xseg ({type(error).__name__}: {str(error).partition(chr(10))[0]})",
            expected="a file of xseg export",
        ) from error
    try:
        session = form.read(path, "float32")
    except Exception as error:
        raise WeightsError(f"{path} cannot be read: {str(error).partition(chr(10))[0]}") from error
    numbers = {"context": int(values.get("overlap", 0)) // 2, "classes": len(labels)}
    model = ExportedModel(session, maximum=maximum, options=options, overlapping=decision.overlapping, **numbers)
    return Export(model, labels, decision, normalization, values)
