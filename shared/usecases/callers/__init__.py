"""Who calls, and how often.

In comes a bearer token, or the id of a caller who made something earlier.

    identify     decides whose token it is: the settings' administrator, an API token, or an application's Entra token.
                 The caller who made a link or a webhook is looked up again whenever the link or webhook is used.
    api_tokens   issues and revokes API tokens, and caches them for half a minute.
    rate_limit   counts in memory, and shares counts with other instances in the background.

Out goes a `Caller` with its scopes and accounts, which handlers check. Otherwise InvalidToken, Forbidden or
TooManyRequests is raised.
"""
