"""`xseg data`, with one file per action."""
