"""Metrics: counts per image, and scores from their sums."""
