"""Access tokens: keep a grant alive, hand out its tokens, probe its mailboxes.

    hand_out    one point read when warm. Without a good token it refreshes, once for all callers who wait.
    refresh     asks Entra, and stores new tokens or the failure. The grant decides what a failure means: retry, needs
                sign-in, needs consent, blocked. Its accounts follow it into the new state, each with an event.
    on_demand   refreshes that a caller asks for, at most two a minute for each grant, and what callers are told when
                there is no token.
    probe       opens the mailboxes of a grant, and notices access that was taken away or given back.

No lock is needed: Entra keeps the older refresh token alive, and the newer token set wins. Answers that storage does
not take stay in memory, and are stored later.
"""
