"""Evaluation: a predictor over a reader, its scores, and the report."""
