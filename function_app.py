"""The Functions app."""

from shared.bootstrap import build_app

app = build_app()
