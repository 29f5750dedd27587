"""An app with the routes of functions.json. They echo the request; one returns the response of a named case."""

import json
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import azure.functions as func

HERE = Path(__file__).parent
ANSWERS = {case["name"]: case["worker"] for case in json.loads((HERE / "answers.json").read_text())["answers"]}
app = func.FunctionApp()


class ExactHeaders(dict[str, Any]):
    """Headers as given: azure.functions adds a content type where it finds none, and its own class checks values."""

    def __contains__(self, name: object) -> bool:
        return name == "content-type" or super().__contains__(str(name).lower())

    def get_all(self, name: str) -> list[str]:
        return list(self[name.lower()])

    def pop(self, name: str, *default: Any) -> Any:
        return super().pop(name.lower(), *default)


class ExactResponse(func.HttpResponse):
    """A response with any status and headers."""

    def __init__(self, status: Any, headers: dict[str, Any], body: bytes) -> None:
        super().__init__(body)
        self.given, self.exact = status, ExactHeaders(headers)

    @property
    def status_code(self) -> Any:
        return self.given

    @property
    def headers(self) -> Any:
        return self.exact


def _echo(name: str) -> Callable[[func.HttpRequest], Awaitable[func.HttpResponse]]:
    async def echo(req: func.HttpRequest) -> func.HttpResponse:
        seen = {
            "function": name,
            "method": vars(req)["_HttpRequest__method"],  # `method` shows it in capitals
            "url": req.url,
            "headers": dict(req.headers),
            "query": dict(req.params),
            "params": dict(req.route_params),
        }
        body = {"body": b64encode(req.get_body()).decode()} if req.get_body() else {}
        return func.HttpResponse(json.dumps(seen | body), mimetype="application/json")

    return echo


def _declare(name: str, route: str | None, methods: list[str] | None, level: str) -> None:
    decorated = app.route(route=route, methods=methods, auth_level=func.AuthLevel[level])(_echo(name))
    app.function_name(name)(decorated)


def _cookie(given: dict[str, Any]) -> str:
    value = given["value"].replace('"', r"\"")
    parts = [f'{given["name"]}="{value}"', "Path=/"]
    parts += ["Secure"] if "secure" in given else []
    parts += ["HttpOnly"] if "http_only" in given else []
    parts += [f"Max-Age={given['max_age']['value']}"] if "max_age" in given else []
    return "; ".join([*parts, f"SameSite={given['same_site'].removeprefix('Explicit')}"])


@app.route(route="answers/{name}", auth_level=func.AuthLevel.ANONYMOUS)
async def zz_answers(req: func.HttpRequest) -> func.HttpResponse:
    """Return the response of the case with this name."""
    given: dict[str, Any] = ANSWERS[req.route_params["name"]]
    if "fail" in given:
        raise ValueError("asked to fail")
    if "none" in given or "text" in given:
        return given.get("text")  # type: ignore[return-value]
    headers = dict(given["headers"])
    if "set-cookie" in headers:
        headers["set-cookie"] = [headers["set-cookie"]]
    if "cookies" in given:
        headers["set-cookie"] = [_cookie(cookie) for cookie in given["cookies"]]
    return ExactResponse(given["status"], headers, b64decode(given["body"]))


for one in json.loads((HERE / "functions.json").read_text()):
    if one["type"] == "httpTrigger":
        _declare(one["name"], one.get("route"), one.get("methods"), one["authLevel"])
