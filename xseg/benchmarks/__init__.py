"""Timing, memory and counts, beside peers."""
