"""The implementations of the ports. Each knows one library, and only `shared/assembly.py` creates them.

- Sign-in and refresh: `entra` calls MSAL (`msal_applications`) in the threads of `token_calls`; MSAL sends its requests
  through `token_transport`.
- Probes: `graph` and `imap`.
- Secrets: `sealing` encrypts with the data keys of `open_data_keys`, which `key_wrapping` wraps.
- Events: `webhook_sender` signs them, and `webhook_connections` sends them to public addresses only.
- The rest: `tables` (Table Storage), `shard_queue`, `entra_callers` (callers with Entra tokens), `managed_identity`.

A library that takes long to import is imported when it is first used, so that the app starts fast.
"""
