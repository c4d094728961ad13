"""What happens during a training, beside learning."""
