"""Who calls, and what they may: bearer tokens of every kind, and limits."""
