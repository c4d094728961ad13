"""Checkpoints: written whole, checked, resumed from."""
