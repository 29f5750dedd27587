"""`python -m shared.cli`: Mailbind for operators, through its HTTP API.

`__main__` parses the arguments, a function of `commands` calls `api`, and the result is printed.
"""
