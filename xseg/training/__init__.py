"""Training with Lightning: tasks, optimisers, callbacks and options."""
