"""Accounts: find, read, list, change, remove.

In comes an account's id. The directory (account id to principal) says in whose partition the account is; the row in
that partition is the truth.

    read     finds, reads and lists accounts.
    change   renames, pauses and removes; the last account of a grant takes the grant and its tokens with it.
    tally    counts accounts and grants by state, in the background.

Every write is one transaction in the principal's partition, with its events. A change that affects hand-outs also
changes the grant's `bindings`, so that every instance reads the account again.
"""
