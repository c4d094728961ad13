"""Rule tables: for every origin, what each of its tensors is called here."""
