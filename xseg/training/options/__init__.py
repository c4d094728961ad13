"""Training options. Imports no torch."""
