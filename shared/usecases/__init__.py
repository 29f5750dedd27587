"""What Mailbind does: one file for each thing."""
