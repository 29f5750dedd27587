"""Who calls, and how often.

In comes a bearer token, or the id of a caller who made something earlier.

    identify     decides whose token it is: the administrator's of the settings, an API token's, or one of Entra's. A
                 caller who made a link or a webhook is looked up again whenever that authority is used.
    api_tokens   issues and revokes API tokens, and caches them for half a minute.
    rate_limit   counts in memory, and shares counts with other instances in the background.

Out goes a `Caller` with its scopes and accounts; handlers check those. InvalidToken, Forbidden or TooManyRequests
otherwise.
"""
