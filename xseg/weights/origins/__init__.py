"""Whose weights they are: one table of rules per origin."""
