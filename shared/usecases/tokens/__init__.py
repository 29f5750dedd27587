"""Access tokens: keep a grant alive, hand out its tokens, probe its mailboxes.

    account_grant   Reads an account with its grant, or takes both from memory for MAILBIND_REMEMBER_SECONDS.
    account_token   The token of an account, for use inside Mailbind. Without a usable token it refreshes the grant,
                    once for all callers that wait. Callers can demand a refresh, at most two a minute for each grant;
                    a token that Graph answers with 401 is refreshed once.
    hand_out        Gives that token to a caller.
    refresh         Asks Entra, and stores new tokens or the failure. The grant decides what a failure means: retry,
                    needs sign-in, needs consent, blocked. Its accounts follow it into the new state, each with an
                    event.
    probe           Opens the mailboxes of a grant, and notices access that was lost or regained.

No lock is needed: Entra keeps the older refresh token valid, and the newer token set wins. An answer that cannot be
stored stays in memory and is stored later.
"""
