"""`python -m shared.cli`: Mailbind for operators, through its HTTP API."""
