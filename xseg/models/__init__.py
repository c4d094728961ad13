"""DeepLabV3+, SMP's decoders, and the bundle that a model is saved as."""
