"""Images: reading, normalisation, and drawing of masks."""
