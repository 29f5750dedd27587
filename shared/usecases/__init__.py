"""What Mailbind does: functions over one `App`, by topic.

A handler, page or timer parses what comes in and calls one function here with the `App` first. The function reads
from `app.stores`, asks `app.microsoft`, lets `shared.domain` decide, and writes with the condition that nothing has
changed since it read. Events are written in the same transaction as the change that they report.

    callers    who calls, and how often
    events     from a change to the webhooks that want to know of it
    accounts   find, read, list, change and remove accounts
    tokens     keep a grant alive, hand out its access tokens, probe its mailboxes
    apps       OAuth apps and their circuit breakers
    sign_in    from a link to bound accounts
    upkeep     what timers do

A package uses only those above it, `apps` and `sign_in` not each other; import-linter holds that. Classes are state
(caches, counters, a rate limit) or values.
"""
