"""Networks written for other runtimes, and proved equal."""
