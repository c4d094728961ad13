"""Comparison of converted networks with the originals in their own frameworks."""
