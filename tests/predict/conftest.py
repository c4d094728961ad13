"""Fixtures of this folder: see prediction_fixtures.py in tests/fakes."""

from prediction_fixtures import bundle, folder, labels, photo, predictor
