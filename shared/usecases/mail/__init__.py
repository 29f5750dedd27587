"""Confined access: Microsoft Graph's mail, held to one bound mailbox.

In comes a call with the mailbox that it names: its address, or the id of an account. shared.domain.confined decides
whether the call stays inside one mailbox, the index of mailboxes finds the account, and out goes Graph's answer, with
links that lead back here.

    find_account    Which accounts a call may use, the healthy ones first. A mailbox that is not bound and one of others
                    have the same answer.
    open_named      The first of these that opens, remembered for a while.
    use_mailbox     One call: checked, in its turn, made once, and answered.
    turns           When a call may begin: at most four at a time for each mailbox, fairly for all callers.
    graph_mailbox   The way to Graph: a token that Graph refuses is renewed once, and failures are told apart.
    send            Sending that takes several calls, so that every message is from the mailbox.
    submit          A message is sent at most once: its row, its key, its draft.
    send_once       Send a draft that was checked, and find out what became of it.
    batch           The calls of a batch, in the order of their dependencies.
    compose         A message as a draft from the mailbox: new, a reply, a forward, or MIME.
    attached_files  Its attachments: those that come with it, and those of other messages of the mailbox.
"""
