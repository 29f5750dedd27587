"""What timers do.

The agenda is the index of due work, in shards. The row of the grant, registration or account decides whether work is
really due.

    agenda          Works the due rows of shards, within limits of time and number. A row that fails is retried later.
    tick            Every minute: refresh and probe grants, hand long shards over. Every five minutes: tidy up.
    pending         Probe mailboxes that a sign-in could not open; bind them or give up.
    registrations   Settle, expire and delete registrations.
    submissions     Send messages that are due, settle those whose request died, delete what ended a day ago.
    sweep           Every day: repair the agenda, the directory and the index of mailboxes, warn of what ends soon,
                    count everything.
    statistics      Counters, backlog and health.
    rotate          Finish a rotation of keys now, for the operator's command.

Timers have clients of Microsoft of their own (`App.for_timers`), so that no caller waits behind a tick.
"""
