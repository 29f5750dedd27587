"""SASL XOAUTH2: how an access token opens IMAP, POP and SMTP."""

from shared.domain.secret import Secret


def xoauth2(user: str, token: Secret) -> Secret:
    """The client's initial response before its encoding: `user=…^Aauth=Bearer …^A^A`.

    Exchange: "Authenticate an IMAP, POP or SMTP connection using OAuth", SASL XOAUTH2.
    """
    return Secret(f"user={user}\x01auth=Bearer {token.reveal()}\x01\x01")
