"""Prediction for files: from sources to masks."""
