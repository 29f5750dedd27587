"""Answers in Graph's form (Graph: "Microsoft Graph error responses and resource types")."""

import base64
import json
from collections.abc import Mapping
from datetime import datetime

import azure.functions as func

from shared.domain.audit import client_request_id_header, correlation_id
from shared.domain.confined.headers import JSON
from shared.domain.errors import InvalidInput, MailbindError
from shared.http.refusals import status_of
from shared.http.responses import NO_STORE_HEADERS, refusal_headers, reply
from shared.usecases.mail.answers import MailAnswer


def refusal_answer(error: MailbindError, now: datetime) -> MailAnswer:
    """A refusal of Mailbind's, as Graph would write it."""
    message = " ".join(error.fields.values()) if isinstance(error, InvalidInput) else str(error)
    inner = {
        "date": now.strftime("%Y-%m-%dT%H:%M:%S"),
        "request-id": correlation_id() or "",
        **client_request_id_header(),
    }
    body = {"error": {"code": error.code or "", "message": message, "innerError": inner}}
    return MailAnswer(status_of(error), refusal_headers(error), json.dumps(body).encode(), JSON)


def response_of(answer: MailAnswer) -> func.HttpResponse:
    """The response of an answer, which is not cached."""
    return reply(answer.body or None, answer.status, {**NO_STORE_HEADERS, **answer.headers}, answer.media_type)


def batch_answer(answers: Mapping[str, MailAnswer]) -> MailAnswer:
    """The answers of a batch in one. Bodies that are not JSON are in base64, as in Graph's."""
    parts = ",".join(_part(name, answer) for name, answer in answers.items())
    return MailAnswer(200, {}, f'{{"responses":[{parts}]}}'.encode(), JSON)


def _part(name: str, answer: MailAnswer) -> str:
    """One answer as JSON. A JSON body is put in as it is, because it was written here."""
    headers = dict(answer.headers)
    if answer.media_type is not None:
        headers["Content-Type"] = answer.media_type
    body = ""
    if answer.media_type == JSON:
        body = f',"body":{answer.body.decode()}'
    elif answer.media_type is not None:
        body = f',"body":{json.dumps(base64.b64encode(answer.body).decode())}'
    return f'{{"id":{json.dumps(name)},"status":{int(answer.status)},"headers":{json.dumps(headers)}{body}}}'
