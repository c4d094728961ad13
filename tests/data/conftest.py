"""Fixtures of this folder: see data_fixtures.py in tests/fakes."""

from data_fixtures import camvid_root, folders, make_folders, save_fixture, scenes_root
