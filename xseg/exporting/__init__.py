"""Export of networks for other runtimes, with verification."""
