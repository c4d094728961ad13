"""Weights: readers of other projects' files, and strict conversion to ours."""
