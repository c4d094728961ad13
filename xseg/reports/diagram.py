"""Diagrams of modules as boxes and arrows, laid out from the tables of the networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from math import prod
from typing import Literal, TypeAlias

from xseg.encoders.spec import STEM_STRIDE, EncoderSpec, Stage
from xseg.nn.inception import Convolution, Inception, Operation, Tower

Kind: TypeAlias = Literal["conv", "spatial", "pool", "join"]
BOX = (118.0, 30.0)  # width and height
GAP = (16.0, 26.0)  # horizontal and vertical space between boxes
DRAWN_SEGMENTS = 4  # an ellipsis stands for more
WIDE_BOX = 196.0  # width in the diagram of a whole network
SKIP = 74.0  # space beside a block for its shortcut


@dataclass(frozen=True)
class Box:
    """A labelled box; (x, y) is its upper left corner."""

    x: float
    y: float
    width: float
    height: float
    text: str
    kind: Kind


@dataclass(frozen=True)
class Arrow:
    """A line along points with an arrowhead at the last one."""

    points: tuple[tuple[float, float], ...]

    @property
    def path(self) -> str:
        """Points as an SVG path."""
        return "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in self.points)


@dataclass(frozen=True)
class Note:
    """A text without box, centred at x."""

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class Diagram:
    """A diagram of `width` x `height` units."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    notes: tuple[Note, ...] = ()


def draw_inception(table: Inception) -> Diagram:
    """Draw a module as in the papers: input below, parallel towers, concatenation above."""
    rows = [[_slots(operation) for operation in tower] for tower in table.towers]
    widths = [max(len(slots) for slots in tower) for tower in rows]
    height = max(len(tower) for tower in rows)
    step_x, step_y = BOX[0] + GAP[0], BOX[1] + GAP[1]
    total = sum(widths) * step_x - GAP[0]
    bottom = (height + 1) * step_y
    boxes = [_centred(total / 2, bottom, "input", "join"), _centred(total / 2, 0, "concatenation", "join")]
    arrows: list[Arrow] = []
    left = 0.0
    for tower, width in zip(rows, widths, strict=True):
        middle = left + (width * step_x - GAP[0]) / 2
        before: list[tuple[float, float]] = []
        for level, slots in enumerate(tower):
            y = bottom - (level + 1) * step_y
            centres = [middle + (place - (len(slots) - 1) / 2) * step_x for place in range(len(slots))]
            boxes += [_centred(x, y, *slot) for x, slot in zip(centres, slots, strict=True)]
            for x in centres:
                starts = [_leave(box, x) for box in before] or [(_spread(total / 2, x, total), bottom)]
                arrows += [Arrow((start, (x, y + BOX[1]))) for start in starts]
            before = [(x, y) for x in centres]
        arrows += [Arrow(((x, y), (_spread(total / 2, x, total), BOX[1]))) for x, y in before]
        left += width * step_x
    return Diagram(total, bottom + BOX[1], tuple(boxes), tuple(arrows))


def _slots(operation: Operation) -> list[tuple[str, Kind]]:
    """Return texts and kinds of the boxes of one operation; one with segments has several."""
    if not isinstance(operation, Convolution):
        return [(f"3×3 {operation.kind} pool", "pool")]
    height, width = operation.kernel
    kind: Kind = "conv" if operation.kernel == (1, 1) else "spatial"
    text = f"{height}×{width} conv, {operation.channels // operation.segments}"
    drawn = [(text, kind)] * min(operation.segments, DRAWN_SEGMENTS)
    if operation.segments > DRAWN_SEGMENTS:
        drawn[-1] = (f"… {operation.segments} in all", kind)
    return drawn


def _centred(x: float, y: float, text: str, kind: Kind) -> Box:
    return Box(x - BOX[0] / 2, y, BOX[0], BOX[1], text, kind)


def _spread(center: float, x: float, total: float) -> float:
    """Return the point at which a line from x meets the shared box; lines are spread over its width."""
    share = (x - center) / max(total / 2, 1.0)
    return center + share * BOX[0] * 0.4


def _leave(start: tuple[float, float], x: float) -> tuple[float, float]:
    """Return the point at which a line leaves its first box, closer to its target."""
    reach = BOX[0] * 0.4
    return start[0] + max(-reach, min(reach, (x - start[0]) * 0.2)), start[1]


def draw_encoder(spec: EncoderSpec, classes: int = 1000) -> Diagram:
    """Draw a whole Xception in three columns, as in Figure 5: entry flow, middle flow, exit flow."""
    groups = [(stage, len(list(same))) for stage, same in groupby(spec.stages)]
    middle = max(range(len(groups)), key=lambda index: groups[index][1])
    stem = [f"conv {spec.stem[0]}, 3×3, stride 2", f"conv {spec.stem[1]}, 3×3"]
    entry = [stage for stage, _ in groups[:middle]]
    stride = STEM_STRIDE * prod(stage.stride for stage in entry)
    between = f"{entry[-1].widths[-1]} channels, stride {stride}"
    step = WIDE_BOX + 2 * SKIP
    columns = [
        _Column("entry flow", 0).add("join", "images").add("conv", *stem).stages(groups[:middle], spec),
        _Column("middle flow", step).add("join", between).stages(groups[middle : middle + 1], spec),
        _Column("exit flow", 2 * step)
        .add("join", between)
        .stages(groups[middle + 1 :], spec)
        .add("pool", "global average pooling", "optional fully connected layers"),
    ]
    for column, text in zip(columns, (between, between, f"logistic regression, {classes}"), strict=True):
        column.add("join", text)
    return Diagram(
        len(columns) * step,
        max(column.y for column in columns) + 12,
        tuple(box for column in columns for box in column.boxes),
        tuple(arrow for column in columns for arrow in column.arrows),
        tuple(note for column in columns for note in column.notes),
    )


class _Column:
    """One flow with a title, filled from the top; `left` is its left edge."""

    def __init__(self, title: str, left: float) -> None:
        self.left, self.middle, self.y = left, left + SKIP + WIDE_BOX / 2, 30.0
        self.boxes: list[Box] = []
        self.arrows: list[Arrow] = []
        self.notes = [Note(self.middle, 16, title)]

    def add(self, kind: Kind, *texts: str) -> _Column:
        """Add a sequence of boxes."""
        for text in texts:
            if self.boxes:
                self.arrows.append(Arrow(((self.middle, self.boxes[-1].y + BOX[1]), (self.middle, self.y))))
            self.boxes.append(Box(self.left + SKIP, self.y, WIDE_BOX, BOX[1], text, kind))
            self.y += BOX[1] + 16
        return self

    def stages(self, groups: Sequence[tuple[Stage, int]], spec: EncoderSpec) -> _Column:
        """Add blocks with their shortcuts on the left; consecutive equal blocks are drawn once."""
        for stage, times in groups:
            top = self.y
            for text, kind in _stage_texts(stage, spec):
                self.add(kind, text)
            if stage.skip != "none":  # from above the block to below it
                x, begin, end = self.left + SKIP * 0.45, top - 6, self.y - 10
                self.arrows.append(Arrow(((self.middle, begin), (x, begin), (x, end), (self.middle, end))))
                text = f"1×1, /{stage.stride}" if stage.skip == "conv" else "+"
                self.notes.append(Note(x, (begin + end) / 2, text))
            if times > 1:
                self.notes.append(Note(self.left + WIDE_BOX + SKIP * 1.5, (top + self.y) / 2, f"× {times}"))
        return self


def _stage_texts(stage: Stage, spec: EncoderSpec) -> list[tuple[str, Kind]]:
    before, after = stage.activation == "before", stage.activation == "after"
    rows: list[tuple[str, Kind]] = []
    for index, width in enumerate(stage.widths):
        strides = stage.stride == 2 and spec.downsample == "separable" and index == len(stage.widths) - 1
        text = f"{'ReLU, ' * before}separable {width}, 3×3{', stride 2' * strides}{', ReLU' * after}"
        rows.append((text, "spatial"))
    if stage.stride == 2 and spec.downsample == "max_pool":
        rows.append(("max pool 3×3, stride 2", "pool"))
    return rows


def separable_module(in_channels: int, channels: int) -> Inception:
    """Return Xception's separable convolution as a module: depthwise, then pointwise."""
    tower: Tower = (Convolution(in_channels, (3, 3), in_channels), Convolution(channels))
    return Inception((tower,), "Chollet 2017, section 1.2")
