"""Weights: readers for other projects' files, and strict conversion."""
