"""Random augmentation of training samples: presets, and the user's own transforms."""

from __future__ import annotations

from typing import Any

import albumentations as A
import numpy as np

from xseg.data.loading.augmentation_list import build_listed, opencv_fill
from xseg.data.loading.transforms import RandomScaleCrop, Transform, known_arguments_only, transform_sample
from xseg.data.options import DataOptions
from xseg.errors import ConfigError
from xseg.images.normalization import Normalization

_STRONG_JITTER, _AERIAL_JITTER = 0.6, 0.3  # default colour changes of presets
_ATTEMPTS = 6  # trial runs of a pipeline with listed transforms, which are applied at random
_ROTATIONS = {"paper": 0.0, "strong": 10.0, "aerial": 0.0, "medical": 20.0}  # degrees either way


def training_transform(
    options: DataOptions,
    normalization: Normalization,
    ignore_index: int,
    *,
    class_weights: tuple[float, ...] = (),
    bands: int = 0,
) -> Transform:
    """Return the augmentation pipeline for training samples.

    "paper" resizes by a random factor, crops, mirrors, and pads with the mean pixel (127.5 for the Xceptions' own
    normalisation), as in DeepLab. The other presets do the same and more: "strong" rotates by up to 10 degrees, changes
    colours, blurs and adds noise; "aerial" rotates by quarter turns and mirrors both ways, as aerial images have no
    upright direction; "medical" rotates by up to 20 degrees, deforms, and changes brightness, contrast and gamma, but
    not hue. The transforms in the options come last. Uncovered areas get the mean pixel in the image and `ignore_index`
    in the mask.

    Args:
        options: options with crop, scale, scale_step, flip, jitter, augmentation, transforms and rare_crops.
        normalization: normalisation, whose mean pads images, so that padding is close to 0 for the network.
        ignore_index: padding value of masks, which losses and scores ignore.
        class_weights: relative frequency of each class at the centre of crops; empty for crops anywhere.
        bands: number of overlapping classes, for masks (H, W, bands); 0 for masks (H, W).

    Raises:
        ConfigError: if a listed transform is unknown, has unknown or wrong arguments, or changes the size of the crop.

    Source: Chen et al. 2018, section 4; TF DeepLab, `input_preprocess.py`.
    """
    fill = tuple(mean * normalization.maximum for mean in normalization.mean)
    crop = RandomScaleCrop(
        options.crop,
        options.scale,
        options.scale_step,
        fill,
        ignore_index,
        rotation=_ROTATIONS[options.augmentation],
        class_weights=class_weights,
        centred=options.rare_crops if class_weights else 0.0,
    )
    with known_arguments_only():
        turns = [A.D4(p=1)] if options.augmentation == "aerial" else []  # on whole images: a crop need not be square
        steps = [*turns, crop, *_after_crop(options, normalization, fill, ignore_index)]
        scale = normalization.maximum if normalization.maximum > 255 else 1.0  # see `_on_floats`
        padding = opencv_fill(tuple(value / scale for value in fill))
        listed = build_listed(options.transforms, fill=padding, ignore_index=ignore_index)
        if listed:
            steps += _on_floats(listed, normalization)
        pipeline = A.Compose(steps)
    if listed:
        _require_crop(pipeline, options, normalization, ignore_index, bands)
    return pipeline


def _require_crop(
    pipeline: Transform, options: DataOptions, normalization: Normalization, ignore_index: int, bands: int
) -> None:
    """Raise an error if a user's transforms fail, or change noise in size, type or channels, or add labels."""
    kinds: dict[bool, Any] = {True: np.uint16, False: np.uint8 if normalization.maximum > 1 else np.float32}
    kind = np.dtype(kinds[normalization.maximum > 255])
    rng = np.random.default_rng(0)
    image = (rng.random((*options.crop, normalization.channels)) * normalization.maximum).astype(kind)
    mask = np.zeros((*options.crop, bands) if bands else options.crop, np.uint8 if ignore_index <= 255 else np.uint16)
    for attempt in range(_ATTEMPTS):
        try:
            moved, labels = transform_sample(pipeline, image, mask, seed=0, epoch=0, index=attempt)
        except ConfigError:
            raise
        except Exception as error:  # transforms may raise almost any exception
            reason = " ".join(str(error).split())
            got = f"transforms do not work on {normalization.channels} channels of {kind}: {reason}"
            raise ConfigError(got) from error
        if moved.shape[:2] != options.crop or labels.shape[:2] != options.crop:
            (height, width), (rows, columns) = options.crop, moved.shape[:2]
            got = f"transforms change a crop of {height}x{width} to {rows}x{columns}"
            raise ConfigError(got, expected="the size of the crop", remedy="set crop instead")
        if moved.shape[2:] != image.shape[2:] or moved.dtype != kind or not set(np.unique(labels)) <= {0, ignore_index}:
            images = f"{kind} images of {normalization.channels} channels into {moved.dtype} of shape {moved.shape}"
            got = f"transforms turn {images}, and labels 0 into {np.unique(labels).tolist()[:4]}"
            raise ConfigError(got, expected="the same type and channels, and no new labels except the ignored one")


def _after_crop(
    options: DataOptions, normalization: Normalization, fill: tuple[float, ...], ignore_index: int
) -> list[Any]:
    steps: list[Any] = []
    if options.flip and options.augmentation != "aerial":
        steps.append(A.HorizontalFlip(p=options.flip))
    if options.augmentation == "medical":
        uncovered = {"fill": opencv_fill(fill), "fill_mask": opencv_fill((ignore_index,))}
        steps.append(A.ElasticTransform(alpha=60, sigma=8, **uncovered, p=0.3))
    jitter = options.jitter or {"strong": _STRONG_JITTER, "aerial": _AERIAL_JITTER}.get(options.augmentation, 0.0)
    levels: list[Any] = []
    if jitter:
        levels.append(_jitter(jitter, normalization, p=1.0 if options.jitter else 0.8))
    if options.augmentation in ("strong", "medical"):
        levels += [
            A.RandomGamma(gamma_limit=(70, 140), p=0.3),
            A.OneOf([A.GaussianBlur(blur_limit=(3, 5)), A.GaussNoise(std_range=(0.01, 0.05))], p=0.3),
        ]
    if options.augmentation == "medical" and not jitter:
        levels.append(_levels(0.25, p=0.5))
    return [*steps, *_on_floats(levels, normalization)]


def _jitter(strength: float, normalization: Normalization, p: float) -> Any:
    """Return a change of colour, or of brightness and contrast if the image is not 8-bit or float RGB."""
    change = 0.4 * strength
    if normalization.channels == 3 and normalization.maximum in (1, 255):
        around = (1 - change, 1 + change)
        return A.ColorJitter(brightness=around, contrast=around, saturation=around, hue=(-change / 8, change / 8), p=p)
    return _levels(change, p)


def _levels(change: float, p: float) -> Any:
    limit = (-change, change)
    return A.RandomBrightnessContrast(brightness_limit=limit, contrast_limit=limit, ensure_safe_range=True, p=p)


def _on_floats(steps: list[Any], normalization: Normalization) -> list[Any]:
    """Apply transforms to values from 0 to 1 for 16-bit images, which albumentations does not support."""
    if not steps or normalization.maximum <= 255:
        return steps
    there = A.ToFloat(max_value=normalization.maximum, p=1)
    return [there, *steps, A.FromFloat(dtype="uint16", max_value=normalization.maximum, p=1)]
