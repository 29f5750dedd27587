"""Confined access over HTTP: Microsoft Graph's paths under `/v1.0`, held to one mailbox.

`handling` takes each request through its steps: bounds, caller, the row of the table, the account, the call, and one
audit record. `responses` has the answers, whose errors have Graph's form. What is possible is decided in
shared.domain.confined, and the calls are made in shared.usecases.mail.
"""
