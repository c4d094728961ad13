"""Data sets: one reader per layout, transforms, the datamodule, and generated scenes."""
