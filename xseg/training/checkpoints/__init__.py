"""Checkpoints: writing, checking and resumption."""
