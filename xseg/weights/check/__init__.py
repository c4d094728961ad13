"""The networks that weights come from, run by their own frameworks, and compared with ours."""
