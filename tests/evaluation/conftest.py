"""Fixtures of this folder: see evaluation_fixtures.py in tests/fakes."""

from evaluation_fixtures import make_reader, predictor, reader, two_classes
