"""Data sets: readers, generated data, and loading for training."""
