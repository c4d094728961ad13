"""Everything that one training is made of, put together from its options."""
