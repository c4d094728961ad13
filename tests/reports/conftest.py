"""Fixtures of this folder: see tests/fakes."""

from data_fixtures import camvid_root, save_fixture, scenes_root
from evaluation_fixtures import make_reader, predictor, reader, two_classes
