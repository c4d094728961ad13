"""Weight files: one reader per format."""
