"""Files: atomic writing, caches, downloads, and objects from a user's own files."""
