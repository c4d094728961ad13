"""Options of a training, as plain values. Imports no torch."""
