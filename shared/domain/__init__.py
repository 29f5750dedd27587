"""What things are, and which changes of them are legal. Knows the standard library only.

- `registration` is an invitation to sign in, with its mailboxes in `invited_mailbox`.
- A mailbox that the principal can open becomes an `account`. The principal's `tokens` are in a `grant`.
- `failure` classifies Microsoft's errors, `renewal` applies an answer to a grant, and `work` says what is due when.
- `remedy` explains each code to people, and `event` tells callers about changes, through a `webhook`.
- `caller`, `limit` and `audit` are about requests: who may do what, how often, and what is recorded.

Values are immutable: a change returns a new value, and time and randomness are arguments. What is stored is a frozen
dataclass. Other values are named tuples, because each dataclass costs start-up almost a millisecond.
"""
