"""Published weights: where they are, and how they are fetched."""
