"""The data set doctor: what is wrong with a data set, where, and how to put it right."""
