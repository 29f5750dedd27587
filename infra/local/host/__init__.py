"""The local Functions host: runs the app on Microsoft's own Python worker library, in this process."""
