"""A Microsoft 365 tenant on this computer: Entra's sign-in, and the Graph calls that Mailbind makes."""
