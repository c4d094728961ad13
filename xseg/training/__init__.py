"""Training on Lightning: the task, its optimisers, callbacks and options."""
