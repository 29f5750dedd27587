"""The Power Platform connector, generated from the API's OpenAPI document.

`definition` selects operations and adds Microsoft's extensions; `icon` draws the icon; `__main__` writes the files that
Power Platform imports. apiProperties*.json are written by hand: the connection, and the policy for the triggers.
"""
