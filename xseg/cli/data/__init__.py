"""`xseg data`: one file per action."""
