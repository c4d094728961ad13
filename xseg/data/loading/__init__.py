"""Loading of samples in batches: data sets, samplers, transforms and data modules."""
