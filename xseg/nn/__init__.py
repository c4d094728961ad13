"""Building blocks of the networks: separable convolution, normalisation, pooling, ASPP and resizing."""
