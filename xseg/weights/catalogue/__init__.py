"""Published weights: catalogue and download."""
