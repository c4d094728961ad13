"""Building blocks of the networks: separable convolution, norm, padding, ASPP and resize."""
