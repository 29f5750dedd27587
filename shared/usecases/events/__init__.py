"""From a change to the webhooks that subscribe to it: every event is delivered, each account's events in order.

    outbox         makes events, which the caller writes in the transaction of the change. Also warns of grants and
                   credentials that expire soon.
    delivery       fans events out to one delivery for each webhook, and visits the targets; one instance at a time.
    target         sends the deliveries of one webhook: accounts concurrently, each account's in order.
    webhooks       subscribes: checks and pings the target, and stores the webhook. Also changes the global target of
                   the settings.
    webhook_care   lists, pings, removes and redelivers webhooks, and deletes old dead letters.

A crash repeats a step, so a target may get an event twice, under the same id. `outbox` has the reasons.
"""
