"""Mail of one bound mailbox, by two ways in, which share the way to Graph.

Confined access passes Graph's own calls on, with the mailbox that they name: its address, or the id of an account.
shared.domain.confined decides whether a call stays inside one mailbox, the index of mailboxes finds the account, and
Graph's answer goes back with links that lead here.

    find_account      Which accounts a call may use, the healthy ones first. A mailbox that is not bound and one of
                      others have the same answer.
    open_named        The first of these that opens, remembered for a while.
    use_mailbox       One call: checked, in its turn, made once, and answered.
    answers           Graph's answers as callers get them.
    send              Sending that takes several calls, so that every message is from the mailbox.
    batch             The calls of a batch, in the order of their dependencies.

The mail API has EmailEngine's routes, and takes as many calls as a route needs. shared.domain.mail translates.

    session           The mailbox of one request: each call is authorized when it is made, and Graph's errors raise.
    folders           The folders, and the one at a path.
    list_messages     Pages of messages, also of a search; ordered_messages keeps them from drifting.
    read_message      One message and its text; contents has its source and its attachments.
    change            Change, move or delete one message.
    bulk_changes      The same for many: selection finds them, and bulk changes a few at a time.
    compose           A message as a draft from the mailbox: new, a reply, a forward, or MIME. attached_files has its
                      attachments: those that come with it, and those of other messages of the mailbox.
    submit            A message is sent at most once: its row, its key, its draft.
    send_once         Send a draft that was checked, and find out whether it was sent.

Both go through these:

    turns             When a call may begin: at most four at a time for each mailbox, fairly for all callers.
    graph_mailbox     The way to Graph: a token that Graph refuses is renewed once, and failures are told apart.
"""
