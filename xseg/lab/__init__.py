"""The Xception paper as a laboratory: its argument as studies that run, and as a page that explains itself."""
