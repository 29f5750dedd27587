"""From a change to the webhooks that want to know of it. Nothing is lost, nothing invented, each account in order.

    outbox         makes the event, which the caller writes in the same transaction as the change.
    warnings       events for grants that expire when idle, and for credentials that end soon.
    fan_out        turns an event into one delivery for each webhook that wants it and may know of it.
    target         sends the deliveries of one webhook: its accounts side by side, each in order.
    delivery       runs fan-out and targets until all is quiet; one instance at a time holds the lease.
    webhooks       subscribes: checks the target, pings it, stores the webhook. The global target of the settings too.
    webhook_care   lists, pings, removes and redelivers webhooks, and forgets old dead letters.

A crash repeats a step, so a target may get an event twice, under the same id. The reasons are in `outbox`.
"""
