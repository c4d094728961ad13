"""Inference: from arrays to labels and probabilities."""
