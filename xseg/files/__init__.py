"""Files: written whole, cached, fetched, and the objects that a user's own files define."""
