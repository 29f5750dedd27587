"""Microsoft's clouds, and what an OAuth app asks for in each."""

from collections.abc import Iterable
from dataclasses import dataclass

# Delegated permissions that open shared mailboxes (Graph permissions reference: Mail.*.Shared; Exchange: Authenticate
# an IMAP, POP or SMTP connection using OAuth).
BASE_SCOPES = {
    "api": ("Mail.ReadWrite.Shared", "Mail.Send.Shared", "User.Read"),
    "imap": ("IMAP.AccessAsUser.All", "POP.AccessAsUser.All", "SMTP.Send"),
}


@dataclass(frozen=True, slots=True)
class Cloud:
    """Where a cloud's authority, Graph and Outlook are; each an https address without a path."""

    authority: str
    graph: str
    outlook: str

    def scopes(self, base: Iterable[str], extra: Iterable[str] = (), skip: Iterable[str] = ()) -> tuple[str, ...]:
        """The scopes of these bases and the extra ones, by full name, so that a token is for this very cloud.

        A short name is one of Graph's. `skip` leaves scopes out, by their full or their short names.
        """
        roots = {"api": self.graph, "imap": self.outlook}
        asked = [f"{roots[name]}/{scope}" for name in base for scope in BASE_SCOPES[name]]
        asked += [scope if "://" in scope else f"{self.graph}/{scope}" for scope in extra]
        left_out = {scope.casefold() for scope in skip}
        return tuple(
            scope
            for scope in dict.fromkeys(asked)
            if not {scope.casefold(), scope.rpartition("/")[2].casefold()} & left_out
        )
