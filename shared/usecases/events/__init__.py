"""Events: written with the change that they tell of, fanned out, delivered; webhooks and settings."""
