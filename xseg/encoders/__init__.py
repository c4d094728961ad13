"""Xception encoders: tables of stages, and one builder for all of them."""
