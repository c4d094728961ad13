"""Verbs as functions: what the command line parses, and Python calls directly."""
