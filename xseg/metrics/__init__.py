"""Metrics: counts of single images, added up, and the scores that follow from them."""
