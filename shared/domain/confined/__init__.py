"""Confined access: which calls to Microsoft Graph stay inside one mailbox.

A call is taken apart, checked against closed lists, and built anew; nothing of the request is passed on as it came.

1. `operations` is the table of what is possible: one row with method, path, scope, query options and body.
2. `paths` finds the row of a path, `queries` and `headers` check the options and headers that the row allows.
3. `json_bodies`, `messages` and `mime` check what is written, above all that it is from the mailbox.
4. `batches` takes a batch apart into calls, each of which passes the same checks.
5. `answers` finds the links of an answer, which lead to Graph and have to lead back here.
"""
