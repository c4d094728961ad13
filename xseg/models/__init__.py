"""Networks: DeepLabV3+, SMP's decoders and decoders from outside the package, over any encoder; classifiers."""
