"""Xception encoders: tables of stages and the one builder that reads them."""
