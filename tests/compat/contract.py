"""EmailEngine's published HTTP contract (v2.79), route by route, as far as it is about authorization.

Facts only, in our own words. The table in docs/emailengine.md is generated from this file.
"""

import re

from tests.compat.promises import Promise, Route, better, left_out, same

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
LINK = re.compile(r"https?://[^/]+/accounts/new\?.+")
HIDDEN = "******"
BACK = "https://myapp.example/done?x=1#frag"
FORM = {"redirectUrl": BACK}
SHARED = FORM | {"email": "support@contoso.example", "delegated": True}
LISTED = {
    "account": str,
    "name": str,
    "email": str,
    "type": "outlook",
    "app": str,
    "state": str,
    "lastError": (None, {"description": str}),
}
IN_ACCOUNT = "GET /v1/account/{account}"
WRITTEN = {"id": str, "path": str, "messageId": str}
SUBMIT_UNKNOWN = "POST /v1/account/{account}/message/AAAA/submit"
TO_SEND = {"to": [{"address": "andris@example.com"}], "subject": "Hello", "text": "Hello"}
ENVELOPE = {"statusCode": int, "error": str, "message": str}


def wrong(*fields: str) -> dict[str, object]:
    """The envelope of a request with exactly these wrong fields, in whatever order."""
    return refused(400, "Bad Request", "Invalid input") | {"fields": frozenset(fields)}


def refused(status: int, error: str, message: object = str) -> dict[str, object]:
    return {"statusCode": status, "error": error, "message": message}


REGISTRATION = (
    better(
        "POST /v1/authentication/form",
        "the mailbox is proven before it is bound; links are opaque and work in one browser only; an unknown `type` is"
        " refused, not ignored; `redirectUrl` must have an allowed origin. An existing account keeps its person and"
        " mailbox unless `allowPrincipalChange` and `changeMailbox` allow a change. The answer says whether the link is"
        " for a shared mailbox (`delegated`). `mailboxes` requests many at once",
        Promise("only redirectUrl is required; the answer is the link", shape={"url": LINK}, body=FORM),
        Promise("the documented example", shape={"url": LINK}, body=SHARED | {"account": "compat-1", "name": "Shared"}),
        Promise("null and empty texts count as absent", body=FORM | {"account": None, "name": "", "email": ""}),
        Promise("a type of false or nothing", body=FORM | {"type": False}),
        Promise("booleans spelled Y, N, 1 and 0", body=SHARED | {"delegated": "Y"}),
        Promise("booleans spelled N", body=FORM | {"delegated": "N"}),
        Promise("one text where a list may be", body=FORM | {"subconnections": "a", "path": "*"}),
        Promise("fields about fetching mail are taken", body=FORM | {"notifyFrom": "2026-01-01T00:00:00Z", "path": []}),
        Promise("expectedEmail", body=SHARED | {"expectedEmail": "alice@contoso.example"}),
        Promise("without redirectUrl", 400, wrong("redirectUrl"), body={}),
        Promise(
            "all faults at once, unknown fields too",
            400,
            wrong("redirectUrl", "email", "delegated", "odd"),
            body={"redirectUrl": "no", "email": "no", "delegated": "maybe", "odd": 1},
        ),
        Promise(
            "what is no JSON", 400, refused(400, "Bad Request", "Invalid request payload JSON format"), raw=b"{nope"
        ),
    ),
    better(
        "GET /accounts/new",
        "a page says who asks for what before the person goes to Microsoft; PKCE, a nonce, a `state` that only this"
        " browser can return, and the person as `login_hint`, never the shared mailbox",
        Promise(
            "needs no token", headers={"content-type": re.compile("text/html.*")}, call="GET {link}", caller="nobody"
        ),
        Promise("a link that is none is refused with a page", 404, call="GET /accounts/new?ticket=no", caller="nobody"),
    ),
    better(
        "GET /oauth",
        "`form_post`, so that no code is in a URL; the page explains a failure, lets the person try again, and passes"
        " it on to `redirectUrl`. Success redirects there with `account` and `state=new` or `existing`, as in"
        " EmailEngine",
        Promise(
            "an answer that nobody waits for is 400",
            400,
            call="GET /oauth?error=access_denied&state=x",
            caller="nobody",
        ),
    ),
)
ACCOUNTS = (
    better(
        "GET /v1/accounts",
        "also filters by `app`, `email` and `authorizedBy`, and has a `cursor` for deep lists",
        Promise(
            "pages from zero, echoes of query and state",
            shape={"total": int, "page": 0, "pages": int, "query": False, "state": "*", "accounts": [LISTED]},
        ),
        Promise(
            "a part of id, name or address",
            shape={
                "total": 1,
                "page": 0,
                "pages": 1,
                "query": "{account}",
                "accounts": [LISTED | {"account": "{account}"}],
            },
            query="query={account}&page=0&pageSize=1000",
        ),
        Promise(
            "by state", shape={"state": "connected", "accounts": [{"state": "connected"}]}, query="state=connected"
        ),
        Promise("states of EmailEngine's own find nothing", shape={"total": 0, "accounts": []}, query="state=syncing"),
        Promise("an unknown state is refused with those that there are", 400, wrong("state"), query="state=foo"),
        Promise("a page of more than 1000", 400, wrong("pageSize"), query="pageSize=1001"),
    ),
    better(
        "POST /v1/account",
        "binds a further mailbox to an existing grant (`delegatedUser`, `delegatedAccount`): probed at once, and the"
        " account hands out tokens. With `authorize` it returns a link. Passwords are refused",
        Promise(
            "authorize asks for a link",
            shape={"redirect": LINK},
            body={
                "account": "compat-3",
                "name": "x",
                "oauth2": {
                    "provider": "{app}",
                    "authorize": True,
                    "redirectUrl": BACK,
                    "auth": {"delegatedUser": "support@contoso.example"},
                },
            },
        ),
        Promise(
            "one more mailbox of whoever authorizes another account",
            shape={"account": "compat-further", "state": "new"},
            body={
                "account": "compat-further",
                "name": "Sales",
                "email": "sales@contoso.example",
                "oauth2": {
                    "provider": "{app}",
                    "auth": {"delegatedUser": "sales@contoso.example", "delegatedAccount": "{account}"},
                },
            },
        ),
        Promise(
            "which hands out tokens", shape={"user": "{person}"}, call="GET /v1/account/compat-further/oauth-token"
        ),
        Promise(
            "an account whose grant is borrowed has to be named with its mailbox",
            400,
            wrong("oauth2.provider", "oauth2.auth.delegatedAccount"),
            body={
                "account": "compat-2",
                "name": "x",
                "oauth2": {"provider": "none", "auth": {"delegatedUser": "support@contoso.example"}},
            },
        ),
        Promise("without oauth2", 400, body={"account": "compat-2", "name": "x", "imap": {"host": "x"}}),
    ),
    better(
        "GET /v1/account/{account}",
        "also says who authorizes it and since when, what to do about `lastError`, and what expires when. `type` is"
        " `outlook` even if a grant serves several accounts; there are no counters and sync times",
        Promise(
            "all of it, secrets hidden",
            shape=LISTED
            | {
                "state": "connected",
                "baseScopes": "api",
                "oauth2": {
                    "provider": str,
                    "auth": {"user": str, "delegatedUser": "support@contoso.example"},
                    "scope": [str],
                    "tokenType": "Bearer",
                    "accessToken": HIDDEN,
                    "refreshToken": HIDDEN,
                    "expires": MOMENT,
                    "generated": MOMENT,
                    "refreshTokenGenerated": MOMENT,
                },
            },
        ),
        Promise("quota may be asked for", query="quota=true"),
        Promise("an unknown account is 404", 404, refused(404, "Not Found"), call="GET /v1/account/nobody-here"),
    ),
    same(
        "PUT /v1/account/{account}",
        "`name` and `paused`, and Mailbind's own `handOut`; fields about fetching and sending mail are accepted without"
        " effect. What a sign-in proved (`email`, `oauth2`) cannot be changed here; use `POST …/reauthorize` or the"
        " form. Instead of an account's `webhooks`, use `POST /v1/webhooks` with `account`",
        Promise("the name", shape={"account": "{account}"}, body={"name": "Renamed", "logs": False, "path": None}),
        Promise("expectedEmail is cleared by null", shape={"account": "{account}"}, body={"expectedEmail": None}),
        Promise("unknown fields are refused", 400, wrong("odd"), body={"odd": 1}),
        Promise(
            "an unknown account is 404", 404, refused(404, "Not Found"), call="PUT /v1/account/nobody-here", body={}
        ),
    ),
    better(
        "DELETE /v1/account/{account}",
        "says whether tokens were deleted with it; deleting one account of a grant does not affect the others."
        " `revoke` has no effect for Microsoft accounts, in EmailEngine and here",
        Promise(
            "says so", shape={"account": "{spare}", "deleted": True}, call="DELETE /v1/account/{spare}?revoke=false"
        ),
        Promise("an unknown account is 404", 404, refused(404, "Not Found"), call="DELETE /v1/account/nobody-here"),
    ),
    better(
        "PUT /v1/account/{account}/reconnect",
        "answers when it is done, with the result: `reconnect` is false if it failed, and `error` says why",
        Promise("asks for it", shape={"reconnect": True}, body={"reconnect": True}),
        Promise("not", shape={"reconnect": False}, body={"reconnect": False}),
    ),
    better(
        "GET /v1/account/{account}/oauth-token",
        "on by default, for callers with the scope for it, which can be bound to one mailbox; the token is valid for at"
        " least five minutes; `email` is the mailbox. Every account hands out tokens, even if a grant serves several,"
        " unless it is switched off (403 `hand_out_disabled`)",
        Promise(
            "the token, and whose it is",
            shape={
                "account": "{account}",
                "user": "{person}",
                "accessToken": re.compile(r"\S{20,}"),
                "provider": "outlook",
                "registeredScopes": [str],
                "expires": MOMENT,
                "cached": bool,
                "app": "{app}",
            },
        ),
        Promise(
            "an unknown account is 404", 404, refused(404, "Not Found"), call="GET /v1/account/nobody-here/oauth-token"
        ),
        Promise("not without the right to", 403, refused(403, "Forbidden") | {"requestedScope": str}, caller="reader"),
    ),
    left_out("PUT /v1/account/{account}/sync", "Mailbind does not sync mail"),
    left_out("PUT /v1/account/{account}/flush", "as above"),
    left_out("GET /v1/account/{account}/server-signatures", "specific to Gmail"),
    left_out("POST /v1/verifyAccount", "IMAP passwords; the sign-in itself proves the mailbox"),
    left_out("GET /v1/autoconfig", "IMAP settings"),
    left_out("GET /v1/logs/{account}", "logs of IMAP sessions; Mailbind has an audit log"),
)
APP = {
    "id": re.compile(r"[A-Za-z0-9_-]{16}"),
    "name": str,
    "provider": "outlook",
    "enabled": bool,
    "includeInListing": bool,
    "clientId": str,
    "clientSecret": HIDDEN,
    "authority": str,
    "cloud": "global",
    "redirectUrl": re.compile(r"https?://[^/]+/oauth"),
    "baseScopes": "api",
    "extraScopes": [str],
    "created": (MOMENT, None),
}
WISH = {
    "name": "Another app",
    "description": "made by the contract",
    "title": "Another",
    "provider": "outlook",
    "enabled": False,
    "clientId": "8e41f7b2-60cd-4f1a-9d35-2a7be90c64d8",
    "clientSecret": "not-a-real-secret",
    "authority": "7c3f1e52-5d1b-4a57-9a0e-2f6c7f1d9b10",
    "cloud": "global",
    "redirectUrl": "{base}/oauth",
    "baseScopes": "api",
    "extraScopes": ["Mail.Read.Shared"],
    "skipScopes": [],
}
APPS = (
    same(
        "GET /v1/oauth2",
        "pages, newest first; secrets read back as `******`",
        Promise("a page", shape={"total": int, "page": 0, "pages": int, "apps": [APP]}, query="page=0&pageSize=20"),
    ),
    better(
        "POST /v1/oauth2",
        "also certificates, managed identities and a second secret; a redirect URI other than Mailbind's is refused."
        " `provider` is `outlook`; `baseScopes` defaults to `api`, in EmailEngine to `imap`",
        Promise("all fields", shape={"id": APP["id"], "created": True}, body=WISH),
        Promise("what is required", 400, wrong("name", "provider", "clientId", "authority", "clientSecret"), body={}),
        Promise("unknown fields", 400, wrong("odd"), body=WISH | {"odd": 1}),
        Promise("another provider", 400, wrong("provider"), body=WISH | {"provider": "gmail"}),
    ),
    better(
        "GET /v1/oauth2/{app}",
        "`lastError` says what to do",
        Promise("with a count of its accounts", shape=APP | {"id": "{app}", "accounts": int, "lastError": None}),
        Promise("an unknown app", 404, refused(404, "Not Found") | {"code": "NotFound"}, call="GET /v1/oauth2/none"),
    ),
    same(
        "PUT /v1/oauth2/{app}",
        "sending the hidden secret back leaves it unchanged",
        Promise(
            "some fields",
            shape={"id": "{otherApp}", "updated": True},
            call="PUT /v1/oauth2/{otherApp}",
            body={"name": "Renamed", "clientSecret": HIDDEN},
        ),
        Promise(
            "what cannot be changed",
            400,
            wrong("baseScopes"),
            call="PUT /v1/oauth2/{otherApp}",
            body={"baseScopes": "imap"},
        ),
    ),
    better(
        "DELETE /v1/oauth2/{app}",
        "refused while accounts use the app, unless `?force=true`",
        Promise(
            "says how many accounts used it",
            shape={"id": "{spareApp}", "deleted": True, "accounts": 0},
            call="DELETE /v1/oauth2/{spareApp}",
        ),
        Promise("one that is in use", 409, refused(409, "Conflict")),
        Promise(
            "an unknown app",
            shape={"id": "none", "deleted": False, "accounts": 0},
            call="DELETE /v1/oauth2/none",
        ),
    ),
    better(
        "POST /v1/oauth2/{app}/verify",
        "also checks whether the scopes open shared mailboxes and whether the secret expires soon",
        Promise(
            "step by step",
            shape={
                "app": "{app}",
                "provider": "outlook",
                "authMethod": str,
                "account": "{account}",
                "ok": True,
                "steps": [
                    {
                        "id": str,
                        "label": str,
                        "status": re.compile("ok|skip"),
                        "message": str,
                        "hint": (str, None),
                    }
                ],
            },
            body={"account": "{account}", "testConnection": True},
        ),
        Promise("an unknown app", 404, refused(404, "Not Found"), call="POST /v1/oauth2/none/verify"),
    ),
)
EVENTS = (
    same(
        "GET /v1/settings",
        "the settings about webhooks; secrets and headers read back hidden",
        Promise(
            "what is set",
            shape={
                "serviceUrl": "{base}",
                "webhooks": str,
                "webhooksEnabled": bool,
                "webhookEvents": [str],
                "webhooksCustomHeaders": [{"key": str, "value": HIDDEN}],
                "serviceSecret": (HIDDEN, None),
            },
        ),
        Promise("one of them", shape={"webhooksEnabled": bool}, query="webhooksEnabled=true"),
    ),
    better(
        "POST /v1/settings",
        "the target is tested at once, and must be public https. `POST /v1/webhooks` adds further ones, each with its"
        " own secret, events and accounts. `serviceUrl` is a setting of the app",
        Promise(
            "some of them, events about mail too",
            shape={"updated": [str]},
            body={"webhooksEnabled": False, "webhookEvents": ["authenticationError", "messageNew"]},
        ),
        Promise("unknown ones are refused", 400, wrong("odd", "webhooks"), body={"odd": 1, "webhooks": "no"}),
    ),
    better(
        "webhooks: what is sent",
        "signed as in Standard Webhooks, in addition to EmailEngine's headers; in order for each account, retried for"
        " three days, then visible as dead letters. Events have an `id`, a reason, and what to do; `connectSuccess`,"
        " `registrationFailed`, `grantExpiring` and more are new. `messageSent` and"
        " `messageFailed` are about submitted mail",
    ),
    left_out("GET /v1/webhookRoutes", "use `GET /v1/webhooks`"),
)
# What EmailEngine sends of each event that is not about mail, and with what headers.
SENT = {
    "accountAdded": {"account": "{account}"},
    "accountInitialized": {"initialized": True},
    "authenticationError": {"serverResponseCode": str},
    "authenticationSuccess": {"user": "{person}"},
    "accountDeleted": {"account": "{account}"},
}
SENT_BODY = {"serviceUrl": "{base}", "account": "{account}", "date": MOMENT, "event": str, "data": dict}
SENT_HEADERS = {
    "content-type": re.compile("application/json.*"),
    "user-agent": str,
    "x-ee-wh-id": str,
    "x-ee-wh-attempts-made": "1",
    "x-ee-wh-queued-time": re.compile(r"\d+s"),
    "x-ee-wh-event-id": str,
    "x-ee-wh-signature": re.compile(r"[A-Za-z0-9_-]{43}"),
}
OPERATION = (
    better(
        "GET /v1/tokens",
        "tokens can be limited to mailboxes, networks and a time; the token itself is shown once",
        Promise(
            "a page", shape={"total": int, "page": 0, "pages": int, "tokens": [{"id": str}]}, query="page=0&pageSize=20"
        ),
    ),
    left_out(
        "POST /v1/tokens, GET and DELETE /v1/tokens/{token}",
        "use `POST /v1/token` and `DELETE /v1/token/{token}`: a token's rights are expressed differently, so callers"
        " must change anyway",
    ),
    same(
        "GET /health",
        "`success` is also false while Microsoft rejects an OAuth app; `GET /v1/stats` names it",
        Promise("needs no token", shape={"success": True}, caller="nobody"),
    ),
    left_out("GET /metrics", "use `GET /v1/stats` and Application Insights"),
    left_out("GET /v1/changes", "events go to webhooks"),
    better(
        "GET /swagger.json",
        "also `GET /openapi.json` (OpenAPI 3.1) and `GET /docs`, a page without scripts; examples for every answer,"
        " including refusals",
        Promise("OpenAPI 2.0, without a token", shape={"swagger": "2.0", "paths": dict}, caller="nobody"),
    ),
)
FLAGGED = {"flags": {"add": ["\\Flagged"]}}
BY_ID = {"search": {"emailIds": ["{message}"]}}
MESSAGES = {
    "total": int,
    "page": 0,
    "pages": int,
    "nextPageCursor": (None, str),
    "prevPageCursor": None,
    "messages": [
        {
            "id": str,
            "emailId": str,
            "threadId": str,
            "date": MOMENT,
            "unseen": bool,
            "flagged": bool,
            "draft": bool,
            "subject": str,
            "flags": list,
            "labels": list,
            "attachments": list,
            "messageId": str,
            "text": {"id": str, "encodedSize": dict},
            "preview": str,
        }
    ],
}
MAIL = (
    better(
        "GET /v1/account/{account}/message/{message}",
        "`maxBytes` never cuts inside a character, and counts for each form of the text. `markAsSeen` needs the scope"
        " `mail:write`. There are no `path`, `uid` and `size`, and no `messageSpecialUse`, because a message does not"
        " know the name of its folder; `documentStore` is refused. `preProcessHtml` makes HTML safe, and loads nothing"
        " from elsewhere. `webSafeHtml` returns the form that `textType` names, and both without it",
        Promise(
            "the message, without its text",
            shape={
                "id": "{message}",
                "emailId": "{message}",
                "threadId": str,
                "date": MOMENT,
                "unseen": bool,
                "flagged": bool,
                "draft": bool,
                "subject": "What a wonderful message",
                "from": {"name": "Andris Reinman", "address": "andris@example.com"},
                "flags": [str],
                "labels": [str],
                "headers": dict,
                "isAutoReply": False,
                "attachments": [{"id": str, "contentType": str, "encodedSize": int, "filename": "a.txt"}],
                "text": {"id": "{message}", "encodedSize": dict},
            },
        ),
        Promise(
            "with its text",
            shape={"text": {"plain": "Hello", "html": "<p>Hello</p>", "hasMore": False}},
            query="textType=*",
        ),
        Promise(
            "safe HTML",
            shape={"text": {"html": "<p>Hello</p>", "plain": "Hello", "webSafe": True}},
            query="webSafeHtml=true",
        ),
        Promise("booleans spelled N", query="markAsSeen=N"),
        Promise("marked as seen", shape={"unseen": False}, query="markAsSeen=true"),
        Promise("which stays", shape={"unseen": False}),
        Promise("an unknown type", 400, wrong("textType"), query="textType=rtf"),
        Promise("an unknown message is 404", 404, refused(404, "Not Found"), call=f"{IN_ACCOUNT}/message/AAAA"),
    ),
    better(
        "GET /v1/account/{account}/text/{text}",
        "`maxBytes` never cuts inside a character, and counts for each form of the text",
        Promise("both forms", shape={"plain": "Hello", "html": "<p>Hello</p>", "hasMore": False}),
        Promise("one form", shape={"plain": "Hel", "hasMore": True}, query="textType=PLAIN&maxBytes=3"),
    ),
    better(
        "GET /v1/account/{account}/mailboxes",
        "also folders with a slash in their names, hidden ones (`listed` is false) and the archive. `counters` costs no"
        " further calls. `noInferiors` is not there",
        Promise(
            "folders with their special use",
            shape={"mailboxes": [{"path": str, "delimiter": "/", "name": str, "listed": bool, "subscribed": bool}]},
        ),
        Promise(
            "numbers of messages, if they are asked for",
            shape={"mailboxes": [{"status": {"messages": int, "unseen": int}}]},
            query="counters=true",
        ),
    ),
    better(
        "GET /v1/account/{account}/messages",
        "pages by cursor repeat and leave out no message that stays, whatever arrives meanwhile; cursors are valid for"
        " one account, folder and search. Pages by number work too, and shift when mail arrives. Lists read no bodies,"
        " so `text.encodedSize` is empty. `total` is as it was on the first page. `prevPageCursor` is always null: keep"
        " the cursors that you used. Graph has no `uid`, `seq`, `size`, `answered` and `inReplyTo` for lists, and they"
        " are not there. `bcc` is",
        Promise("a page, newest first", shape=MESSAGES, query="path=INBOX"),
        Promise("the whole mailbox", shape={"messages": [{"path": str}]}, query="path=%5CAll&pageSize=5"),
        Promise("a special use is a path", shape={"messages": list}, query="path=%5CTrash"),
        Promise("the path is required", 400, wrong("path")),
        Promise("another page by number", shape={"page": 1}, query="path=INBOX&page=1&pageSize=1"),
        Promise("an unknown folder is 404", 404, refused(404, "Not Found"), query="path=Nowhere"),
        Promise("a cursor of something else is refused", 400, wrong("cursor"), query="path=INBOX&cursor=ms_e30"),
    ),
    better(
        "POST /v1/account/{account}/search",
        "`to`, `cc`, `bcc`, `body`, `larger` and `smaller` work without `useOutlookSearch`, `from` and `subject` with"
        " it, and `hasAttachments` is new. What Graph cannot answer together is refused by name: these six fields"
        " cannot be combined with `unseen`, `seen`, `draft`, `flagged`, `threadId` and `header`. A search with one of"
        " the six ends after 1,000 messages, and its `total` and `pages` are null. `from` is an address or part of a"
        " name. `sentSince` and `sentBefore` are about when a message was sent. `emailIds` stands alone. `seq`, `uid`,"
        " `modseq`, `answered`, `deleted`, `gmailRaw`, `labels` and `paths` are refused: a Microsoft 365 mailbox has"
        " nothing like them",
        Promise("what matches", shape=MESSAGES, query="path=INBOX", body={"search": {"subject": "wonderful"}}),
        Promise("recipients", shape={"total": None}, query="path=INBOX", body={"search": {"to": "support"}}),
        Promise(
            "a search index, if it is asked for",
            shape={"messages": [{"subject": str}]},
            query="path=INBOX&useOutlookSearch=true",
            body={"search": {"from": "andris@example.com"}},
        ),
        Promise(
            "impossible combinations are refused",
            400,
            wrong("search.to"),
            query="path=INBOX",
            body={"search": {"to": "support", "unseen": True}},
        ),
        Promise("no uid", 400, wrong("search.uid"), query="path=INBOX", body={"search": {"uid": "1:*"}}),
        Promise("a search is required", 400, wrong("search"), query="path=INBOX", body={}),
    ),
    better(
        "GET /v1/account/{account}/message/{message}/source",
        "unchanged bytes: EmailEngine reads the source of Microsoft 365 messages as UTF-8, which breaks every other"
        " encoding, and signatures. It is a download that no browser shows",
        Promise(
            "the source",
            headers={"Content-Type": "application/octet-stream", "Content-Disposition": re.compile("attachment;.*")},
        ),
        Promise("an unknown message is 404", 404, refused(404, "Not Found"), call=f"{IN_ACCOUNT}/message/AAAA/source"),
    ),
    better(
        "GET /v1/account/{account}/attachment/{attachment}",
        "attached messages come as unchanged bytes too; a link to a file elsewhere is refused with the reason. A file"
        " is a download that no browser shows, and its name cannot do harm",
        Promise("an unknown one is 404", 404, refused(404, "Not Found"), call=f"{IN_ACCOUNT}/attachment/kqFtoWE"),
    ),
    better(
        "PUT /v1/account/{account}/message/{message}",
        "labels work too, and are Outlook's categories; adding one does not undo what somebody else does at the same"
        " time. `\\Answered`, `\\Deleted` and `\\Draft`, which Exchange does not have, are refused instead of ignored,"
        " and so is `set` beside `add` or `delete`",
        Promise("a flag", body=FLAGGED, shape={"flags": {"add": ["\\Flagged"], "result": [str]}}),
        Promise(
            "a flag that Exchange does not have",
            400,
            refused(400, "Bad Request"),
            body={"flags": {"add": ["\\Answered"]}},
        ),
    ),
    same(
        "PUT /v1/account/{account}/message/{message}/move",
        "`path` may be a special use such as `\\Archive`; the id stays",
        Promise("to the archive", body={"path": "\\Archive"}, shape={"path": "Archive", "id": "{message}"}),
        Promise("no such folder", 404, refused(404, "Not Found"), body={"path": "Elsewhere"}),
    ),
    same(
        "DELETE /v1/account/{account}/message/{message}",
        "a message in Deleted Items is deleted for good also without `force`, as in EmailEngine's IMAP accounts. For"
        " good means that mail programs cannot restore it",
        Promise(
            "to Deleted Items",
            shape={"deleted": True, "moved": {"destination": "Deleted Items", "message": "{spareMessage}"}},
            call="DELETE /v1/account/{account}/message/{spareMessage}",
        ),
    ),
    better(
        "POST /v1/account/{account}/message",
        "always from the mailbox, and another `from` is refused; replies and forwards keep the conversation; a stored"
        " attachment can be attached again by its id. A failure leaves no half draft. Every message is a draft, so"
        " `internalDate` and flags other than `\\Draft`, `\\Seen` and `\\Flagged` are refused."
        " [Field by field](#messages-that-are-written)",
        Promise(
            "a draft from its fields",
            shape=WRITTEN,
            body={
                "path": "Drafts",
                "from": {"name": "Support", "address": "support@contoso.example"},
                "to": [{"name": "Andris", "address": "andris@example.com"}],
                "cc": {"address": "copy@example.com"},
                "subject": "What a wonderful message!",
                "text": "Hello from myself!",
                "html": "<p>Hello from myself!</p>",
                "messageId": "<compat@contoso.example>",
                "attachments": [{"filename": "a.txt", "content": "YQ==", "encoding": "base64"}],
                "locale": "fr",
                "tz": "Europe/Tallinn",
            },
        ),
        Promise("a draft from MIME", shape=WRITTEN, body={"path": "Drafts", "raw": "U3ViamVjdDogYQoKYgo="}),
        Promise(
            "a reply",
            shape=WRITTEN | {"reference": {"message": str, "success": True}},
            body={"path": "Drafts", "text": "Thanks", "reference": {"message": "{message}", "action": "reply"}},
        ),
        Promise("templates are refused", 400, wrong("template"), body={"template": "example"}),
        Promise("a wrong address", 400, wrong("to[0].address"), body={"to": [{"address": "none"}]}),
    ),
    better(
        "POST /v1/account/{account}/submit",
        "from the mailbox always, and the copy is in its Sent Items; `Idempotency-Key` is exact, also after a crash;"
        " the answer says that Graph took the message, and a refusal says why at once. Templates, mail merge, gateways,"
        " tracking and `envelope` are refused",
        Promise(
            "the documented answer",
            body=TO_SEND,
            shape={"response": "Queued for delivery", "messageId": str, "queueId": str, "sendAt": MOMENT},
        ),
        Promise("a template is refused", 400, wrong("template"), body=TO_SEND | {"template": "welcome"}),
    ),
    better(
        "POST /v1/account/{account}/message/{message}/submit",
        "as above; only a draft that is from the mailbox is sent",
        Promise("an unknown draft is 404", 404, refused(404, "Not Found"), call=SUBMIT_UNKNOWN, body={}),
    ),
    better(
        "PUT /v1/account/{account}/messages",
        "says for each message what happened, also which failed and why; waits while Exchange throttles, and goes on"
        " beyond 1,000 messages: EmailEngine stops there, and leaves out those that failed. The answer has `failed`,"
        " `notTried`, `totals` and `complete` as well. `path` is required, unless `emailIds` name the messages",
        Promise(
            "the change and the ids", shape={**FLAGGED, "emailIds": ["{message}"]}, body={**BY_ID, "update": FLAGGED}
        ),
        Promise("no update", 400, refused(400, "Bad Request"), query="path=INBOX", body={"search": {}}),
    ),
    better(
        "PUT /v1/account/{account}/messages/move",
        "as above",
        Promise(
            "the folder and the ids",
            shape={"path": "Archive", "emailIds": ["{message}"]},
            body={**BY_ID, "path": "\\Archive"},
        ),
    ),
    better(
        "PUT /v1/account/{account}/messages/delete",
        "as above. Without `force`, EmailEngine deletes messages of Graph accounts for good too; here they are moved to"
        " Deleted Items. Only `path` being Deleted Items itself deletes for good",
        Promise(
            "nothing found",
            shape={"deleted": False, "moved": {"destination": "Deleted Items", "emailIds": []}},
            query="path=INBOX",
            body={"search": {"subject": "nobody wrote this"}},
        ),
    ),
    left_out(
        "POST, PUT and DELETE /v1/account/{account}/mailbox",
        "create, rename and delete folders with Graph's `/mailFolders` through [confined access](confined-access.md)",
    ),
    left_out(
        "GET /v1/outbox",
        "and the routes of its entries: a message that waits is a draft of the mailbox; delete the draft to cancel it",
    ),
    left_out(
        "exports, unified search",
        "list or search each mailbox; cursors lead through all of its messages",
    ),
    left_out(
        "templates, blocklists, gateways, delivery tests",
        "messages are finished when they come, and are sent by the mailbox itself",
    ),
)
ERRORS = (
    same(
        "every route: errors",
        "`statusCode`, `error`, `message`, `code`, and `fields` with all faults at once. A token in the URL"
        " (`?access_token=`) is not accepted",
        Promise(
            "no token",
            401,
            refused(401, "Unauthorized", "Missing authentication"),
            call="GET /v1/accounts",
            caller="nobody",
            headers={"www-authenticate": "Bearer"},
        ),
        Promise(
            "a bad token",
            401,
            refused(401, "Unauthorized", "Bad token"),
            call="GET /v1/accounts",
            caller="stranger",
            headers={"www-authenticate": re.compile("Bearer.*")},
        ),
        Promise("a right that is missing", 403, refused(403, "Forbidden"), call="GET /v1/tokens", caller="reader"),
        Promise(
            "whoever is bound to other accounts",
            403,
            refused(403, "Forbidden"),
            call="GET /v1/account/{account}",
            caller="bound",
        ),
    ),
)
CONTRACT: tuple[Route, ...] = (*REGISTRATION, *ACCOUNTS, *APPS, *EVENTS, *OPERATION, *MAIL, *ERRORS)
