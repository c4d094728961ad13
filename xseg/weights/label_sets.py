"""The class names and colours of the sets that published weights were trained on."""

from __future__ import annotations

from xseg.labels import LabelMap
from xseg.types import RGB

VOC = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
CITYSCAPES: dict[str, RGB] = {
    "road": (128, 64, 128),
    "sidewalk": (244, 35, 232),
    "building": (70, 70, 70),
    "wall": (102, 102, 156),
    "fence": (190, 153, 153),
    "pole": (153, 153, 153),
    "traffic light": (250, 170, 30),
    "traffic sign": (220, 220, 0),
    "vegetation": (107, 142, 35),
    "terrain": (152, 251, 152),
    "sky": (70, 130, 180),
    "person": (220, 20, 60),
    "rider": (255, 0, 0),
    "car": (0, 0, 142),
    "truck": (0, 0, 70),
    "bus": (0, 60, 100),
    "train": (0, 80, 100),
    "motorcycle": (0, 0, 230),
    "bicycle": (119, 11, 32),
}
CITYSCAPES_RAW_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
# MIT Scene Parsing Benchmark (SceneParse150), objectInfo150: the first synonym of each; colours of its color150.
ADE20K = (
    "wall", "building", "sky", "floor", "tree", "ceiling", "road", "bed", "windowpane", "grass", "cabinet",
    "sidewalk", "person", "earth", "door", "table", "mountain", "plant", "curtain", "chair", "car", "water",
    "painting", "sofa", "shelf", "house", "sea", "mirror", "rug", "field", "armchair", "seat", "fence", "desk",
    "rock", "wardrobe", "lamp", "bathtub", "railing", "cushion", "base", "box", "column", "signboard",
    "chest of drawers", "counter", "sand", "sink", "skyscraper", "fireplace", "refrigerator", "grandstand", "path",
    "stairs", "runway", "case", "pool table", "pillow", "screen door", "stairway", "river", "bridge", "bookcase",
    "blind", "coffee table", "toilet", "flower", "book", "hill", "bench", "countertop", "stove", "palm",
    "kitchen island", "computer", "swivel chair", "boat", "bar", "arcade machine", "hovel", "bus", "towel", "light",
    "truck", "tower", "chandelier", "awning", "streetlight", "booth", "television receiver", "airplane",
    "dirt track", "apparel", "pole", "land", "bannister", "escalator", "ottoman", "bottle", "buffet", "poster",
    "stage", "van", "ship", "fountain", "conveyer belt", "canopy", "washer", "plaything", "swimming pool", "stool",
    "barrel", "basket", "waterfall", "tent", "bag", "minibike", "cradle", "oven", "ball", "food", "step", "tank",
    "trade name", "microwave", "pot", "animal", "bicycle", "lake", "dishwasher", "screen", "blanket", "sculpture",
    "hood", "sconce", "vase", "traffic light", "tray", "ashcan", "fan", "pier", "crt screen", "plate", "monitor",
    "bulletin board", "shower", "radiator", "glass", "clock", "flag",
)  # fmt: skip
ADE20K_COLORS = (
    "787878b4787806e6e650323204c8037878508c8c8ccc05ffe6e6e604fa07e005ffebff0796053d78784608ff33ff06528fff8cccff04"
    "ff3307cc46030066c83de6faff06330b66ffff0747ff09e00907e6dcdcdcff095c7009ff08ffd607ffe0ffb8060aff47ff290a07ffff"
    "e0ff086608ffff3d06ffc207ff7a0800ff14ff0829ff05990633ffeb0cffa0961400a3ff8c8c8cfa0a0f14ff001fff00ff1f00ffe000"
    "99ff000000ffff470000ebff00adff1f00ff0bc8c8ff520000fff5003dff00ff7000ff85ff0000ffa300ff6600c2ff00008fff33ff00"
    "0052ff00ff2900ffad0a00ffadff0000ff99ff5c00ff00ffff00f5ff0066ffad00ff0014ffb8b8001fff00ff3d0047ffff00cc00ffc2"
    "00ff52000aff0070ff3300ff00c2ff007aff00ffa3ff990000ff0aff70008fff005200ffa3ff00ffeb0008b8aa8500ff00ff5cb800ff"
    "ff001f00b8ff00d6ffff00705cff0000e0ff70e0ff46b8a0a300ff9900ff47ff00ff00a3ffcc00ff008f00ffeb85ff00ff00ebf500ff"
    "ff007afff5000abed4d6ff0000ccff1400ffffff000099ff0029ff00ffcc2900ff29ff00ad00ff00f5ff4700ff7a00ff00ffb8005cff"
    "b8ff000085ffffd60019c2c266ff005c00ff"
)
COCO_THINGS = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant",
    "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard",
    "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli",
    "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed", "dining table", "toilet",
    "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink",
    "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip
# The numbers, up to 90, that the annotations of COCO leave out.
COCO_ABSENT = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)


def voc_colors(count: int) -> tuple[RGB, ...]:
    """Return PASCAL VOC's colours: the bits of the class's number, dealt out to the channels from the top.

    Source: VOC devkit, VOClabelcolormap.m.
    """
    colors = []
    for index in range(count):
        channels = [0, 0, 0]
        for level in range(8):
            for channel in range(3):
                channels[channel] |= ((index >> (3 * level + channel)) & 1) << (7 - level)
        colors.append((channels[0], channels[1], channels[2]))
    return tuple(colors)


def label_set(classes: int) -> tuple[LabelMap, str]:
    """Return the classes that a model with so many outputs was most likely trained on.

    Returns:
        The label map, and the name of the set; numbered classes and "" where the number is no known set's.
    """
    packed = bytes.fromhex(ADE20K_COLORS)
    ade = tuple((packed[at], packed[at + 1], packed[at + 2]) for at in range(0, len(packed), 3))
    if classes == len(VOC):
        return LabelMap(VOC, voc_colors(len(VOC))), "PASCAL VOC"
    if classes == len(CITYSCAPES):
        return LabelMap(tuple(CITYSCAPES), tuple(CITYSCAPES.values()), raw_ids=CITYSCAPES_RAW_IDS), "Cityscapes"
    if classes == len(ADE20K):
        return LabelMap(ADE20K, ade, raw_ids=tuple(range(1, 151)), ignored_raw_ids=(0,)), "ADE20K"
    if classes == len(ADE20K) + 1:
        return LabelMap(("background", *ADE20K), ((0, 0, 0), *ade)), "ADE20K"
    if classes == len(COCO_THINGS) + 1:
        return LabelMap(("background", *COCO_THINGS), voc_colors(classes)), "COCO"
    if classes == len(COCO_THINGS) + len(COCO_ABSENT) + 1:
        things = iter(COCO_THINGS)
        ids = range(1, classes)
        names = (f"unused {number}" if number in COCO_ABSENT else next(things) for number in ids)
        return LabelMap(("background", *names), voc_colors(classes)), "COCO, by its own numbers"
    return LabelMap(tuple(f"class {index}" for index in range(classes))), ""
