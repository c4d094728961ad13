"""`xseg convert`: convert public Xception or DeepLabV3+ weights to a bundle or an encoder file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from xseg.api.progress import show_progress
from xseg.cli import EXIT_OK, EXIT_SOME_FAILED
from xseg.cli.arguments import add_options, new_parser, options_of, parse_arguments
from xseg.errors import ConfigError

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser
    from torch import Tensor

    from xseg.models.segmentation import SegmentationModel
    from xseg.weights.catalogue.entries import Entry
    from xseg.weights.check.compare import Runner
    from xseg.weights.convert import Conversion

    Original = tuple[Runner, tuple[int, ...], str]

ENCODER_SUFFIX = ".safetensors"
WHOLE_MODEL_ONLY = ("classes", "adapt_head", "in_channels", "output_stride", "atrous_rates", "multi_grid")


@dataclass(frozen=True)
class ConvertOptions:
    """Options of the conversion.

    Args:
        source: origin of the weights; auto recognises it by the keys.
        encoder: expected encoder, for example xception65; any if not given.
        check: whether to run the original, if its framework is installed, and the converted network on the same images
            and print the largest relative differences; exit status 1 if one is 1e-4 or more.
        classes: class names in the order of the outputs, if they are not those of a known set.
        adapt_head: new class names of the bundle; classes with the same name keep their rows, others get new ones.
        in_channels: number of image channels, if it differs from the weights; the first kernels are repeated.
        output_stride: output stride of the bundle's model.
        atrous_rates: three rates of the ASPP at this output stride, if the network was trained with others than
            6, 12, 18 at 16; files do not contain them.
        multi_grid: factors for the rates of the encoder's last block; frozen graphs contain them.
    """

    source: Literal["auto", "tensorflow", "keras", "timm", "cadene", "smp", "bonlime", "segmentron", "xseg"] = "auto"
    encoder: str | None = None
    check: bool = False
    classes: tuple[str, ...] = ()
    adapt_head: tuple[str, ...] = ()
    in_channels: int | None = None
    output_stride: int | None = None
    atrous_rates: tuple[int, ...] = ()
    multi_grid: tuple[int, ...] = ()


def main(arguments: Sequence[str]) -> int:
    """Convert public Xception and DeepLabV3+ weights to a bundle or an encoder file.

    Returns:
        0, or 1 if `--check` found a difference; the result is written in both cases.

    Raises:
        XsegError: if an option or the source is wrong; nothing is written then.
    """
    values = vars(parse_arguments(_parser(), arguments))
    if values["list"]:
        from xseg.weights.catalogue.entries import places, table

        print("\n".join([*table(), "", *places()]))
        return EXIT_OK
    options = options_of(ConvertOptions, values)
    if values["weights"] is None or values["destination"] is None:
        raise ConfigError(
            f"no {'SOURCE' if values['weights'] is None else 'DESTINATION'}",
            expected="xseg convert SOURCE DESTINATION",
            remedy="run xseg convert --list for published weights",
        )
    destination = Path(values["destination"])
    _check_destination(destination, options)
    conversion, entry = _convert(values["weights"], options)
    original = None
    if options.check:
        from xseg.weights.check.originals import original_runner

        original = original_runner(conversion)  # before writing, because its framework may be missing
    if destination.suffix == ENCODER_SUFFIX:
        return _write_encoder(conversion, destination, original)
    return _write_bundle(conversion, destination, options, entry=entry, original=original)


def _parser() -> ArgumentParser:
    parser = new_parser("convert", main)
    source = (
        "a file (.keras, .h5, .pth, .ckpt, .safetensors, .pb, .tar.gz), a TensorFlow checkpoint, a bundle, a run, or a "
        "name from the catalogue"
    )
    parser.add_argument("weights", metavar="SOURCE", type=str, nargs="?", help=source)
    destination = "a folder for a bundle of the whole model, or a file NAME.safetensors for the encoder"
    parser.add_argument("destination", metavar="DESTINATION", type=str, nargs="?", help=destination)
    parser.add_argument("--list", action="store_true", help="show the catalogue of published weights and exit")
    add_options(parser, ConvertOptions)
    return parser


def _convert(weights: str, options: ConvertOptions) -> tuple[Conversion, Entry | None]:
    """Find, read and recognise a source, and print a summary of the conversion."""
    from xseg.weights.catalogue.download import locate
    from xseg.weights.catalogue.entries import find_entry
    from xseg.weights.convert import convert, describe
    from xseg.weights.formats.read import read_source

    path = locate(weights, encoder=options.encoder, show=show_progress)
    conversion = convert(read_source(path))
    _check_wanted(conversion, options)
    if options.multi_grid and conversion.plan.config:  # also for the original
        config = replace(conversion.plan.config, multi_grid=options.multi_grid)
        conversion = replace(conversion, plan=replace(conversion.plan, config=config))
    print("\n".join(describe(conversion)))
    return conversion, None if Path(weights).exists() else find_entry(weights, options.encoder)


def _check_destination(destination: Path, options: ConvertOptions) -> None:
    """Check destination and options before reading."""
    whole = [name for name in WHOLE_MODEL_ONLY if getattr(options, name)]
    if destination.suffix == ENCODER_SUFFIX:
        if destination.is_dir():
            raise ConfigError(f"{destination} is a folder", expected="a new file or an existing file")
        if whole:
            raise ConfigError(f"--{whole[0]} with an encoder file as destination", expected="a folder as destination")
    elif destination.is_file():
        raise ConfigError(
            f"{destination} is a file", expected=f"a folder for a bundle, or a name that ends in {ENCODER_SUFFIX}"
        )
    elif destination.is_dir() and any(destination.iterdir()) and not (destination / "config.json").is_file():
        raise ConfigError(f"{destination} holds other files", expected="a new or empty folder, or a bundle")


def _check_wanted(conversion: Conversion, options: ConvertOptions) -> None:
    if options.source not in ("auto", conversion.plan.origin):
        raise ConfigError(
            f"{conversion.source.name} comes from {conversion.plan.origin}",
            expected=f"--source {conversion.plan.origin}",
        )
    if options.encoder not in (None, conversion.encoder):
        raise ConfigError(f"{conversion.source.name} holds {conversion.encoder}", expected=f"{options.encoder}")


def _write_encoder(conversion: Conversion, destination: Path, original: Original | None) -> int:
    from xseg.weights.formats.torch import save_encoder

    state, plan, source = conversion.encoder_state(), conversion.plan, conversion.source.name
    if plan.config:
        print("note: decoder and head are left out; pass a folder as destination to keep them in a bundle")
    save_encoder(
        destination, state, encoder=conversion.encoder, norm=plan.norm, normalization=plan.normalization, source=source
    )
    print(f"wrote {destination}")
    return _check(original, lambda stride: _encoder_runner(conversion, state, stride))


def _write_bundle(
    conversion: Conversion,
    destination: Path,
    options: ConvertOptions,
    *,
    entry: Entry | None,
    original: Original | None,
) -> int:
    """Build the model, save the bundle, and compare with the original."""
    from xseg.bundles.bundle import save_bundle
    from xseg.bundles.converted import Changes, build_bundle

    changes = Changes(**{name: getattr(options, name) for name in WHOLE_MODEL_ONLY if name != "multi_grid"})
    bundle, lines = build_bundle(conversion, changes, entry=entry)
    for line in lines:
        print(line)
    save_bundle(bundle, destination)
    print(f"wrote {destination}")
    if lines and original:
        bundle, _ = build_bundle(conversion, replace(changes, adapt_head=(), in_channels=None))
    return _check(original, lambda stride: _model_runner(bundle.model, stride))


def _encoder_runner(conversion: Conversion, state: dict[str, Tensor], stride: int) -> Any:
    import torch

    from xseg.encoders.variants import encoder_spec
    from xseg.encoders.xception import XceptionEncoder

    spec = replace(encoder_spec(conversion.encoder), batch_norm=conversion.plan.norm)
    padding: Any = "tf_same" if conversion.plan.origin == "keras" else "symmetric"
    with torch.device("meta"):
        encoder = XceptionEncoder(spec, output_stride=stride, padding=padding)  # type: ignore[arg-type]
    encoder.load_state_dict(state, assign=True)
    encoder.eval()
    return lambda images: {str(level): map_ for level, map_ in enumerate(encoder(images)) if level}


def _model_runner(model: SegmentationModel, stride: int) -> Any:
    dense = model.with_output_stride(stride).eval()  # type: ignore[arg-type]

    def run(images: Tensor) -> dict[str, Tensor]:
        maps = {str(level): map_ for level, map_ in enumerate(dense.encoder(images)) if level}
        return {**maps, "logits": dense(images)}

    return run


def _check(original: Original | None, build_runner: Any) -> int:
    """Compare with the original, if any, print the differences, and return the exit status."""
    if original is None:
        return EXIT_OK
    from xseg.weights.check.compare import compare, table

    theirs, strides, name = original
    runner = cache(build_runner)
    differences = compare(lambda images, stride: runner(stride)(images), theirs, strides=strides)
    print("\n".join([f"largest relative differences from {name}:", *table(differences)]))
    good = all(one.within for one in differences)
    print("check passed: all under 1e-4" if good else "check FAILED: see the differences of 1e-4 or more")
    return EXIT_OK if good else EXIT_SOME_FAILED
