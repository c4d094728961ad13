"""Scores that torchmetrics does not have."""
