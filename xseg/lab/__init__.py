"""The Xception paper as a laboratory: its studies, and a page that explains its modules."""
