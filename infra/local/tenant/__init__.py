"""A small Microsoft 365 tenant on this computer, for the local run and the tests.

`__main__` serves it on 127.0.0.1 with a certificate of its own. `app` has the routes:

- sign-in: `authorize_endpoint` shows the account picker and the consent page, and redirects with a code;
- tokens: `token_endpoint` exchanges codes, refresh tokens and app credentials for tokens;
- what Mailbind calls: `graph`, `imap`, `key_vault`, `managed_identity`, `discovery`;
- control: `control` changes the directory, arms failures, and shows what happened.

Every endpoint works on one `tenant.Tenant`. It starts from contoso.toml and mail/first_messages.toml; POST
/control/reset returns to these files. `graph` and `imap` show the same mail.
"""
