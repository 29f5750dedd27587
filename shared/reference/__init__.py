"""The API describes itself: OpenAPI 3.1, OpenAPI 2.0, and a page for people.

`openapi` makes the first of the declared operations and their types; `swagger` and `sections` are made of that one.
Each is made at its first request.
"""
