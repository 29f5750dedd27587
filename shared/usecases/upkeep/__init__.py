"""What timers do.

The agenda is the index of due work, in shards; the row of the grant, link or account decides whether work is due.

    agenda          works the due rows of shards, within limits of time and number. A row that fails stays for later.
    tick            every minute: refresh and probe grants, share long shards. Every five minutes: tidy up.
    pending         probe mailboxes that a sign-in could not open, bind them, or give up.
    registrations   settle, expire and forget links.
    sweep           every day: repair missing agenda and directory rows, warn of what ends soon, count everything.
    statistics      counters, backlog and health.
    rotate          finish a rotation of keys now; the operator's command runs it.

Timers use clients of Microsoft of their own (`App.for_timers`), so that nobody waits behind a tick.
"""
