"""Generated street scenes, and translucent shapes that overlap, with exact labels, without download."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import yaml
from PIL import Image

from xseg.data.generated import street
from xseg.data.generated.street import BUILDING, PAVEMENT, ROAD, Camera, Canvas, Color, Points, shade
from xseg.data.sample import Array
from xseg.errors import ConfigError
from xseg.files.atomic import atomic_path, write_text
from xseg.labels.label_map import LabelMap
from xseg.types import SPLITS, PathArgument, Split

LABELS = LabelMap(
    names=("sky", "building", "road", "pavement", "tree", "car", "pedestrian", "sign"),
    colors=(
        (112, 178, 226), (128, 96, 92), (96, 88, 120), (222, 150, 186), (72, 142, 60), (34, 60, 190), (226, 60, 60),
        (240, 200, 40),
    ),
)  # fmt: skip
OVERLAPPING_LABELS = LabelMap(
    ("disc", "square", "stripe"), ((226, 60, 60), (60, 190, 70), (60, 90, 230)), overlapping=True
)
_OPACITY = 0.5  # of overlapping shapes
_EMPTY = 0.1  # share of images without any shape
MIN_SIZE = 32  # pixels; in smaller images, people and signs vanish

_WALLS: tuple[Color, ...] = (
    (196, 148, 112), (168, 92, 76), (214, 196, 160), (150, 146, 150), (184, 170, 120), (132, 104, 92),
    (204, 178, 186),
)  # fmt: skip
_PAINTS: tuple[Color, ...] = (
    (186, 34, 36), (34, 64, 148), (226, 226, 224), (44, 46, 52), (228, 180, 40), (40, 120, 96),
)  # fmt: skip
_COATS: tuple[Color, ...] = (
    (206, 70, 60), (66, 92, 168), (236, 202, 90), (88, 58, 110), (232, 232, 226), (60, 136, 120),
)  # fmt: skip
_SKIES: tuple[tuple[Color, Color], ...] = (
    ((92, 152, 222), (206, 226, 240)), ((132, 146, 166), (208, 210, 212)), ((110, 120, 176), (250, 204, 164)),
    ((64, 126, 208), (168, 208, 238)),
)  # fmt: skip


def scene_key(seed: int, split: Split, index: int) -> int:
    """Return the `seed` of `scene` for one image of a split; splits share no images."""
    return int(np.random.SeedSequence((seed, SPLITS.index(split), index)).generate_state(1, np.uint64)[0])


def scene(seed: int, height: int, width: int) -> tuple[Array, Array]:
    """Draw a street scene.

    Args:
        seed: random seed, 0 or more; the same seed and size give the same pixels.
        height: height in pixels, 32 or more.
        width: width in pixels, 32 or more.

    Returns:
        RGB image, (H, W, 3) uint8, and mask, (H, W) uint8, with train ids of `LABELS` and no ignored pixels.

    Raises:
        ConfigError: if the size is too small.
    """
    if min(height, width) < MIN_SIZE:
        raise ConfigError(f"a scene of {height}x{width}", expected=f"{MIN_SIZE} or more pixels each way")
    rng = np.random.default_rng(seed)
    canvas = Canvas(2 * height, 2 * width)  # twice the size, for smooth edges
    camera = Camera(
        height=2 * height,
        horizon=2 * height * rng.uniform(0.40, 0.52),
        vanishing=2 * width * rng.uniform(0.36, 0.64),
        bottom=2 * width * rng.uniform(0.40, 0.60),
        road=0.42 * width / height,
    )
    _sky(canvas, camera, rng)
    _ground(canvas, camera, rng)
    _houses(canvas, camera, rng)
    _things(canvas, camera, rng)
    image = cv2.resize(canvas.image, (width, height), interpolation=cv2.INTER_AREA)
    return _photographed(image, rng), np.ascontiguousarray(canvas.mask[1::2, 1::2])


def write_scenes(
    root: PathArgument, *, counts: tuple[int, int, int], size: tuple[int, int], seed: int = 0
) -> dict[Split, int]:
    """Write scenes as a data set in the `folder` layout: images, indexed masks and labels.yaml.

    Args:
        root: folder to write, created if necessary.
        counts: number of scenes in the train, val and test splits.
        size: height and width in pixels.
        seed: random seed; gives the same scenes as in the `scenes` reader.

    Returns:
        The number of scenes in each split.
    """
    root = Path(root)
    for split, count in zip(SPLITS, counts, strict=True):
        for folder in ("images", "masks"):
            (root / split / folder).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            image, mask = scene(scene_key(seed, split, index), *size)
            picture = Image.fromarray(mask, mode="P")
            picture.putpalette(LABELS.palette())
            _save(Image.fromarray(image), root / split / "images" / f"{index:06d}.png")
            _save(picture, root / split / "masks" / f"{index:06d}.png")
    text = yaml.safe_dump({"names": list(LABELS.names), "colors": [list(color) for color in LABELS.colors]})
    write_text(root / "labels.yaml", text)
    return dict(zip(SPLITS, counts, strict=True))


def _save(picture: Image.Image, path: Path) -> None:
    with atomic_path(path) as temporary:
        picture.save(temporary, compress_level=1)


def _sky(canvas: Canvas, camera: Camera, rng: np.random.Generator) -> None:
    """Paint the gradient of the sky, some clouds, and distant houses and trees on the horizon."""
    top, low = _SKIES[int(rng.integers(len(_SKIES)))]
    share = np.clip(np.arange(canvas.height) / camera.horizon, 0, 1)[:, None]
    gradient = (np.array(top) * (1 - share) + np.array(low) * share).astype(np.uint8)
    canvas.image[:] = cv2.resize(gradient[:, None], (canvas.width, canvas.height), interpolation=cv2.INTER_NEAREST)
    for _ in range(int(rng.integers(0, 5))):
        x, y, size = rng.uniform(0, canvas.width), rng.uniform(0, 0.7) * camera.horizon, rng.uniform(0.03, 0.08)
        for dx in (-1.1, 0.0, 1.1):
            bulge = size * canvas.height * (1.0 if dx == 0 else 0.7)
            canvas.ellipse(x + dx * size * canvas.height, y, 1.3 * bulge, 0.5 * bulge, shade(low, 1.06))
    step = canvas.width / 24
    for column in range(25):
        rise = rng.uniform(0.03, 0.11) * canvas.height
        color = shade(_WALLS[int(rng.integers(len(_WALLS)))], 0.8, 0.55)
        canvas.rectangle(column * step, camera.horizon - rise, step, rise + 2, color, BUILDING)


def _ground(canvas: Canvas, camera: Camera, rng: np.random.Generator) -> None:
    """Paint the pavement, the road between the kerbs, and the road markings."""
    grey = rng.uniform(136, 176)
    paving = (grey + rng.uniform(0, 18), grey, grey - rng.uniform(4, 22))
    canvas.rectangle(-1, camera.horizon, canvas.width + 2, canvas.height, shade(paving, 0.95), PAVEMENT)
    edges = [(camera.y(near), max(1.0, 3 * near)) for near in 1 / np.arange(1.1, 7, 0.35)]
    w = float(canvas.width)
    joints: list[Points] = [[(0.0, y), (w, y), (w, y + h), (0.0, y + h)] for y, h in edges]
    canvas.polygons(joints, shade(paving, 0.84))
    asphalt = rng.uniform(70, 104)
    color = (asphalt, asphalt + rng.uniform(0, 4), asphalt + rng.uniform(2, 10))
    for across, tint in ((1.08, shade(paving, 1.18)), (1.0, color)):
        label = ROAD if across == 1.0 else None
        canvas.polygons([camera.quad((-across,) * 2, (across,) * 2, 0.0, 1.05)], tint, label)
    start = rng.uniform(0, 1)
    dashes = [(1 / (distance + 0.5), 1 / distance) for distance in np.arange(0.9 + start, 9, 1.0)]
    marks = [camera.quad((-0.025,) * 2, (0.025,) * 2, far, near) for far, near in dashes]
    canvas.polygons(marks, (222, 220, 206))
    if rng.random() < 0.3:
        far, near = 1 / 1.9, 1 / 1.5
        stripes = [camera.quad((a, a), (a + 0.1, a + 0.1), far, near) for a in np.arange(-0.9, 0.85, 0.2)]
        canvas.polygons(stripes, (222, 220, 206))


def _houses(canvas: Canvas, camera: Camera, rng: np.random.Generator) -> None:
    """Paint houses along both sides, from far to near, with occasional gaps."""
    for side in (-1, 1):
        distance = 9.0
        while distance > 0.75:
            length = float(rng.uniform(0.7, 1.6)) * (0.5 + 0.1 * distance)
            closer = max(distance - length, 0.6)
            if rng.random() < 0.85:
                color = shade(_WALLS[int(rng.integers(len(_WALLS)))], rng.uniform(0.8, 1.1))
                street.building(canvas, camera, rng, side, (1 / distance, 1 / closer), color)
            distance = closer


def _things(canvas: Canvas, camera: Camera, rng: np.random.Generator) -> None:
    """Paint the objects on the street, distant ones first."""
    kinds = ("tree", "car", "pedestrian", "sign")
    counts = (rng.integers(3, 7), rng.integers(2, 5), rng.integers(3, 6), rng.integers(2, 4))
    drawn = [kind for kind, count in zip(kinds, counts, strict=True) for _ in range(int(count))]
    places = sorted(((1 / rng.uniform(1.1, 3.6), index) for index in range(len(drawn))), key=lambda place: place[0])
    for near, index in places:
        side = 1 if rng.random() < 0.5 else -1
        if drawn[index] == "tree":
            street.tree(canvas, camera, rng, side * rng.uniform(1.25, 1.6), near)
        elif drawn[index] == "car":
            color = shade(_PAINTS[int(rng.integers(len(_PAINTS)))], rng.uniform(0.85, 1.1))
            street.car(canvas, camera, rng, side * rng.uniform(0.35, 0.75), near, color)
        elif drawn[index] == "pedestrian":
            coat = shade(_COATS[int(rng.integers(len(_COATS)))], rng.uniform(0.8, 1.1))
            across = rng.uniform(1.12, 1.5) if rng.random() < 0.8 else rng.uniform(0, 0.9)
            street.pedestrian(canvas, camera, rng, side * across, near, coat)
        else:
            street.sign(canvas, camera, rng, side * rng.uniform(1.08, 1.25), near)


def _photographed(image: Array, rng: np.random.Generator) -> Array:
    """Add photographic effects: brightness, colour of light, a shadow, and grain."""
    height, width = image.shape[:2]
    gain = rng.uniform(0.7, 1.15) * (1 + rng.uniform(-0.07, 0.07, 3))
    slope = np.linspace(1 - rng.uniform(0, 0.25), 1, width) if rng.random() < 0.5 else np.ones(width)
    coarse = cv2.resize(rng.standard_normal((height // 8 + 1, width // 8 + 1), np.float32), (width, height))
    fine = rng.standard_normal((height, width), np.float32)
    light = slope.astype(np.float32) * (1 + 0.05 * coarse) + np.float32(rng.uniform(0.01, 0.05)) * fine
    lit = image * cv2.merge([light * np.float32(value) for value in gain])
    photo: Array = np.clip(lit + np.float32(rng.uniform(-6, 10)), 0, 255).astype(np.uint8)
    return photo


def overlapping_scene(seed: int, height: int, width: int) -> tuple[Array, Array]:
    """Draw up to two discs, squares and stripes over each other.

    Args:
        seed: random seed, 0 or more; the same seed and size give the same pixels.
        height: height in pixels.
        width: width in pixels.

    Returns:
        RGB image, (H, W, 3) uint8, and mask, (H, W, 3) uint8 of 0 and 1, one band per class of `OVERLAPPING_LABELS`.
    """
    rng = np.random.default_rng(seed)
    image = np.full((height, width, 3), rng.uniform(90, 170), np.float32)
    bands = np.zeros((len(OVERLAPPING_LABELS), height, width), np.uint8)
    most = 0 if rng.random() < _EMPTY else 2
    for index, (band, color) in enumerate(zip(bands, OVERLAPPING_LABELS.colors, strict=True)):
        for _ in range(int(rng.integers(0, most + 1))):
            _draw_shape(band, index, rng)
        image += _OPACITY * band[..., None] * (np.array(color, np.float32) - image)
    image += rng.normal(0, 8, image.shape)
    return image.clip(0, 255).astype(np.uint8), np.ascontiguousarray(np.moveaxis(bands, 0, 2))


def _draw_shape(band: Array, index: int, rng: np.random.Generator) -> None:
    """Draw a disc, square or stripe, by the index of the class, whose centre or ends are not at the edge."""
    height, width = band.shape
    x, y, x_end, y_end = (rng.uniform(0.2, 0.8, 4) * (width, height, width, height)).astype(int).tolist()
    radius = int(rng.uniform(0.15, 0.35) * min(height, width))
    if index == 0:
        cv2.circle(band, (x, y), radius, 1, -1)
    elif index == 1:
        cv2.rectangle(band, (x - radius, y - radius), (x + radius, y + radius), 1, -1)
    else:
        cv2.line(band, (x, y), (x_end, y_end), 1, radius)
