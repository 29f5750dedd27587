"""Mailbind: binds shared mailboxes to the people who may open them. `domain` is the place to start reading."""
