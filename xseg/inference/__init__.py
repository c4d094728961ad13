"""Prediction: a model with its labels and normalisation, over any source."""
