"""OAuth apps: registering, verifying and deleting them, and a breaker for each."""
