"""Mail of the tenant's mailboxes: what they hold, and Microsoft Graph's calls on it."""
