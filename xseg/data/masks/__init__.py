"""Masks: one reader per encoding, all giving train ids."""
