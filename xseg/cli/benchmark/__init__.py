"""`xseg benchmark`: one file per study."""
