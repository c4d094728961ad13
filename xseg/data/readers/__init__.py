"""One reader per data set layout, all giving the same sample."""
