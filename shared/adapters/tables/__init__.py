"""Table Storage.

    connection       the client, and the names of all tables.
    table            reads, queries and conditional writes of one table. Every write carries a random `attempt`, so that
                     a repeated request recognizes its own earlier one.
    mapping          records to entities and back.
    row_secrets      seals and unseals secret properties. `sealed_rows` walks over them for a key rotation.
    service_errors   the service's errors as StaleWrite, NotStorable and StorageUnavailable.
    rows             tables of single rows; `principals`, `registrations`, `events` and `agenda` hold several kinds of
                     rows in one partition. `mailboxes` is the index of mailboxes.
    cursor           continues a walk over a table after a row.

Keys are lower-cased and base64url-encoded ids, so no forbidden character occurs in them.
"""
