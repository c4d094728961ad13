"""Networks: DeepLabV3+, SMP's decoders, decoders from outside the package, and classifiers."""
