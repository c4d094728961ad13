"""Training runs: data, task and Trainer from options."""
