"""A small Functions app that the tests of the local host run."""
