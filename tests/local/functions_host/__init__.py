"""What Microsoft's host does, as measured (requests.json, answers.json), and an app with the same routes."""
