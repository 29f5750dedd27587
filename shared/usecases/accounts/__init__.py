"""Accounts: find, read, list, change, remove.

In comes an account's id. The directory maps it to the principal, whose partition contains the account's row. That row
decides.

    read     finds, reads and lists accounts.
    change   renames, pauses and removes accounts. Removing a grant's last account deletes the grant and its tokens.
    mailbox_index  keeps the index of mailboxes, which maps an address to its accounts.
    attention  logs which accounts need a person.
    tally    counts accounts and grants by state, in the background.

Every write is one transaction in the principal's partition, with its events. A change that affects hand-outs also
changes the grant's `bindings`, so that every instance reads the account again.
"""
