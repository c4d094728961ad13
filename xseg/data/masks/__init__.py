"""Masks: one reader per encoding."""
