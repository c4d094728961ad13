"""Checks by subject; each is a pure function of the collected summary."""
