"""Generated data sets, without download."""
