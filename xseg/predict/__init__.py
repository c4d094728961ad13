"""Prediction on files: sources in, masks out."""
