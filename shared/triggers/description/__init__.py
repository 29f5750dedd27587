"""What the API takes and answers: types, operations, and the two descriptions made of them.

Nothing in here is loaded before somebody asks for a description.
"""
