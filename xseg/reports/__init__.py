"""HTML pages and charts in one style."""
