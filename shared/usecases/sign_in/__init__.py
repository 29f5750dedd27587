"""From a link to bound accounts.

    start           A caller requests a link to one or several mailboxes; `invitation` finds all faults of the form.
    link            The person opens it, confirms, and goes to Entra with a `state` that works once, in this browser.
    complete        Entra sends the person back: check cookie and state, redeem the code, conclude the sign-in.
    proof           Who signed in, whether they may have the account, and whether the mailbox opens.
    binding         Proves the mailboxes side by side, and binds them one after the other.
    write_binding   Claims the account id in the directory, then writes grant, account and events in one transaction.
    outcome         What the person is shown and the registration records. A mailbox that does not open yet can wait
                    for a day; a grant that is not stored travels in the page, sealed.
    further         Binds a further mailbox with an existing grant, without a sign-in.

Each step reads the registration again: it may have been replaced, cancelled or used, or its caller may have lost the
right to register.
"""
