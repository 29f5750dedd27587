"""Real Graph clients against the app: they run the code of docs/graph-sdk.md as it stands."""
