"""Origins of weights, with one table of renaming rules each."""
