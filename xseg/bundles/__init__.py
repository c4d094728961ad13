"""Bundles: models as directories of weights and JSON."""
