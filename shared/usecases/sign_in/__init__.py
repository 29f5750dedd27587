"""From a link to bound accounts.

    start           a caller asks for a link to one or several mailboxes; `invitation` finds every fault of the form.
    link            the person opens it, confirms, and goes to Entra with a `state` that works once, in this browser.
    complete        Entra sends the person back: check cookie and state, redeem the code, conclude the sign-in.
    proof           who signed in, and whether the mailbox opens with the new token.
    binding         proves the mailboxes side by side, and binds them one after the other.
    write_binding   claims the account's id in the directory, then writes grant, account and events in one transaction.
    wait            what does not open yet is probed again for a day, without a second sign-in.
    outcome         what the person is told; a grant that is not stored rides along in the page, sealed.
    further         binds a further mailbox with a grant that exists, without a sign-in.

Each step reads the link again: it may have been replaced, cancelled or used, or its caller may have lost the right.
"""
