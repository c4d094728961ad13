"""Load one model for prediction, or several as an ensemble."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from statistics import fmean
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xseg.bundles.bundle import load_bundle
from xseg.bundles.locate import locate_bundle, members_of
from xseg.errors import ConfigError
from xseg.exporting.exported import ExportedModel, is_export, read_export
from xseg.files.description import described_by
from xseg.inference.backends import Backend
from xseg.inference.options import BackendOption, InferenceOptions, PrecisionOption
from xseg.inference.predictor import Predictor
from xseg.inference.scores import WholeImage
from xseg.inference.tiling import TileOption
from xseg.labels.decision import Decision
from xseg.labels.threshold import ThresholdArgument
from xseg.models.architectures import ArchitectureArgument, resolve_architecture
from xseg.types import OutputStride, PathArgument


class Ensemble(Predictor):
    """Averages the probabilities of several models, which take turns on each image or tile.

    The models may differ in architecture, encoder, output stride and normalisation. The thresholds are the means of
    those of the models.

    Args:
        members: predictors of the models, with the same options except those that an exported file fixes.

    Raises:
        ConfigError: if the models have different classes, channels, or largest values of images.
    """

    def __init__(self, members: Sequence[Predictor]) -> None:
        first = members[0]
        for number, other in enumerate(members[1:], start=2):
            for what, a, b in (
                ("tasks", *("overlapping" if one.decision.overlapping else "exclusive" for one in (first, other))),
                ("classes", ", ".join(first.labels.names), ", ".join(other.labels.names)),
                ("image channels", first.normalization.source, other.normalization.source),
                ("largest image values", first.normalization.maximum, other.normalization.maximum),
            ):
                if a != b:
                    got = f"models 1 and {number} of the ensemble have different {what}: {a} / {b}"
                    raise ConfigError(got, expected=f"the same {what} in all models")
        self.members = tuple(members)
        self._leading = next((one for one in members if not isinstance(one.model, ExportedModel)), first)
        options = self._leading.options
        fixed = [one.options.tile for one in members if isinstance(one.options.tile, int) and one.options.tile]
        super().__init__(
            nn.ModuleList(member.model for member in members),
            labels=first.labels,
            normalization=first.normalization,
            options=replace(options, tile=min(fixed, default=options.tile)),
            decision=_mean_decision([member.decision for member in members], len(first.labels)),
        )

    @property
    def backend(self) -> Backend:
        """Backend of the first model that is not an exported file."""
        return self._leading.backend

    @property
    def workers(self) -> int:
        """Number of batches computed at once."""
        return max(member.workers for member in self.members)

    def with_averaging(
        self, *, scales: Sequence[float] | None = None, flip: bool | None = None, rotations: bool | None = None
    ) -> Predictor:
        """Return an ensemble of the same models with other scales, mirror images and quarter turns."""
        others = [member.with_averaging(scales=scales, flip=flip, rotations=rotations) for member in self.members]
        return Ensemble(others)

    def run(self, images: NDArray[Any]) -> Tensor:
        """Return the class probabilities of images of one size, averaged over the models; see `Predictor.run`."""
        total = self.members[0].run(images).to(self.device)
        with torch.inference_mode():
            for member in self.members[1:]:
                total += member.run(images).to(self.device)
            return total.div_(len(self.members))

    def whole(self, images: Sequence[NDArray[Any]]) -> list[WholeImage]:
        """Return the class scores of images of one size by all models; see `Predictor.whole`."""
        scores = zip(*(member.whole(images) for member in self.members), strict=True)
        return [
            replace(parts[0], views=sum((part.views for part in parts), ()), decision=self.decision) for parts in scores
        ]


def _mean_decision(decisions: Sequence[Decision], classes: int) -> Decision:
    """Return the rule with the mean thresholds, if any rule has thresholds."""
    if not any(decision.thresholds for decision in decisions):
        return decisions[0]
    columns = zip(*(decision.limits(classes).tolist() for decision in decisions), strict=True)
    return replace(decisions[0], thresholds=tuple(map(fmean, columns)))


@described_by(InferenceOptions)
def load(
    source: PathArgument | Sequence[PathArgument],
    *,
    device: str = InferenceOptions.device,
    precision: PrecisionOption = InferenceOptions.precision,
    scales: Sequence[float] = InferenceOptions.scales,
    flip: bool = InferenceOptions.flip,
    rotations: bool = InferenceOptions.rotations,
    output_stride: OutputStride | None = InferenceOptions.output_stride,
    batch_size: int = InferenceOptions.batch_size,
    backend: BackendOption = InferenceOptions.backend,
    tile: TileOption = InferenceOptions.tile,
    overlap: int | None = InferenceOptions.overlap,
    architecture: ArchitectureArgument | None = InferenceOptions.architecture,
    encoder: nn.Module | None = None,
    threshold: ThresholdArgument = InferenceOptions.threshold,
    background: str | None = InferenceOptions.background,
) -> Predictor:
    """Load a model for prediction.

    The `source` is a run directory, for its best epoch; a bundle directory; a Hugging Face Hub id "owner/name"; or a
    file of `xseg export`, which its own runtime computes in float32 on the CPU. A list of these, "A,B,C", or the folder
    of `xseg crossval` are an `Ensemble`. The other arguments are those of `xseg.inference.options.InferenceOptions`,
    except that `architecture` may also be a class or your own model, and `threshold` a number or a dictionary of class
    names and numbers; `encoder` is your own encoder, if the model was trained with one.

    Raises:
        ConfigError: if a value is out of range, the device does not exist, or the models of an ensemble do not fit.
        WeightsError: if there is no model, or it cannot be read.
    """
    name, decoder = (None, None) if architecture is None else resolve_architecture(architecture)
    given = {**locals(), "architecture": None if decoder is None else name}
    options = InferenceOptions(**{field.name: given[field.name] for field in fields(InferenceOptions)})
    members = [
        _load_export(member, options)
        if is_export(member)
        else Predictor.from_bundle(
            load_bundle(locate_bundle(member), architecture=architecture, encoder=encoder), options
        )
        for member in members_of(source)
    ]
    return members[0] if len(members) == 1 else Ensemble(members)


def _load_export(source: PathArgument, options: InferenceOptions) -> Predictor:
    """Return a predictor for an exported file, computed by its own runtime in float32 on the CPU."""
    if options.output_stride is not None:
        raise ConfigError(f"output_stride={options.output_stride} for an exported file", expected="that of the export")
    export = read_export(source)
    if options.threshold and export.metadata["result"] == "labels":
        got = f"threshold={' '.join(options.threshold)} for an export of labels"
        raise ConfigError(got, expected="an export with --result confidence, probabilities or logits")
    tile, size = options.tile, export.metadata["size"]
    if tile == "auto" and size and size[0] == size[1]:
        tile = size[0]  # larger images go through by tiles, others whole
    options = replace(options, device="cpu", backend="torch", precision="float32", tile=tile)
    labels, normalization = export.labels, export.normalization
    return Predictor(
        export.model, labels=labels, normalization=normalization, options=options, decision=export.decision
    )
