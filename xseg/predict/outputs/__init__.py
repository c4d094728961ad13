"""Outputs of prediction: one file per kind of output, listed in the registry."""
