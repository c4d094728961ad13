"""Benchmarks of speed and size against other libraries."""
