"""Losses that neither torch nor SMP has."""
