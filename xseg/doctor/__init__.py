"""Checks of a data set: faults, their places, and how to correct them."""
