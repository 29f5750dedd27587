"""The command `mailbind`, also `python -m shared.cli`: Mailbind for operators, through its HTTP API.

Each topic has a file that declares its commands beside the functions that run them. `__main__` parses the arguments, a
function calls `api`, and `output` turns the result into text that fits the terminal.
"""
