"""Samples become batches: dataset, sampler, transforms and the datamodule."""
