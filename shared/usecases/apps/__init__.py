"""OAuth apps: the one of the settings, and those that administrators register.

    catalogue         lists, reads, registers, changes and deletes apps. A stored app with the id of the settings' app
                      takes precedence over the settings. The apps in use are cached for half a minute.
    circuit_breaker   Entra behind one circuit breaker for each app. A refused client credential opens it; then one
                      trial call a minute, until one gets past the credential.
    verify            checks an app's configuration step by step, and says what to fix.

Only answers about stored grants and verifications change a circuit breaker, never a browser's sign-in.
"""
