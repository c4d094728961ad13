"""What prediction writes: one file per kind of output, listed in the registry."""
