"""Bundles: a model as a directory of weights and plain JSON, saved, found and loaded."""
