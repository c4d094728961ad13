"""Pages and charts: one style, one environment."""
