"""The resource that the operations of mail belong to."""

from shared.http.operations import Resource

resource = Resource("Mail", "The mail of one bound mailbox: read, search, change and send it.")
