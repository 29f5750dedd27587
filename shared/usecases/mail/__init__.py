"""Confined access: Microsoft Graph's mail, held to one bound mailbox.

In comes the mailbox that a call names: its address, or the id of an account. The index of mailboxes maps an address to
accounts; the caller's binding decides which of them it may use, and the account's own row whether it still binds that
mailbox. Out goes an account to use, or one answer for mailboxes that are not bound and those of others.

    find_account    Which accounts a call may use, the healthy ones first.
    turns           When a call may begin: at most four at a time for each mailbox, fairly for all callers.
"""
