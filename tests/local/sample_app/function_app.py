"""A small Functions app with a function for each feature of the local host."""

import asyncio
import json
import logging
import os
import time

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
log = logging.getLogger("sample")
runs: list[dict[str, object]] = []


def _json(value: object) -> func.HttpResponse:
    return func.HttpResponse(json.dumps(value), mimetype="application/json")


@app.route(route="echo/{*rest}")
async def echo(req: func.HttpRequest) -> func.HttpResponse:
    """Return the request as JSON."""
    return _json(
        {
            "method": req.method,
            "url": req.url,
            "params": dict(req.route_params),
            "query": dict(req.params),
            "headers": dict(req.headers),
            "body": req.get_body().decode(),
        }
    )


@app.route(route="things/{thing}", methods=["GET"])
async def any_thing(req: func.HttpRequest) -> func.HttpResponse:
    return _json({"by": "any", "thing": req.route_params["thing"]})


@app.route(route="things/special", methods=["GET"])
async def special_thing(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the trigger's argument
    return _json({"by": "never: the function before it takes every thing"})


@app.route(route="things/special/{number:int}", methods=["GET"])
async def numbered_thing(req: func.HttpRequest) -> func.HttpResponse:
    return _json({"by": "number", "thing": req.route_params["number"]})


@app.route(route="things/{thing}/{word}", methods=["GET"])
async def word_of_thing(req: func.HttpRequest) -> func.HttpResponse:
    return _json({"by": "word", "thing": req.route_params["word"]})


@app.route(route="things/special", methods=["PUT"])
async def put_special_thing(req: func.HttpRequest) -> func.HttpResponse:
    return _json({"by": "put", "body": req.get_body().decode()})


@app.route(route="pages/{page?}", methods=["GET"])
def page(req: func.HttpRequest) -> str:
    return f"page {req.route_params.get('page', 'one')} äöü"


@app.route(route="cookies")
async def cookies(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the trigger's argument
    response = func.HttpResponse(status_code=302, headers={"Location": "https://elsewhere.example/?a=1"})
    response.headers.add("Set-Cookie", "__Host-one=1; Path=/; Secure; HttpOnly; SameSite=None")
    response.headers.add("Set-Cookie", "two=2; Path=/two; Max-Age=60; Expires=Tue, 24 Nov 2026 10:00:00 GMT")
    return response


@app.route(route="fails")
async def fails(req: func.HttpRequest) -> func.HttpResponse:
    raise ValueError(f"asked for with {req.method}")


@app.route(route="slow")
async def slow(req: func.HttpRequest) -> func.HttpResponse:
    await asyncio.sleep(float(req.params["seconds"]))
    return _json("done")


@app.route(route="with-key", auth_level=func.AuthLevel.FUNCTION)
async def with_key(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the trigger's argument
    return _json("opened")


@app.route(route="for-admins", auth_level=func.AuthLevel.ADMIN)
async def for_admins(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the trigger's argument
    return _json("opened")


@app.route(route="off")
async def switched_off(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the trigger's argument
    return _json("never seen")


@app.route(route="logs")
async def logs(req: func.HttpRequest) -> func.HttpResponse:
    log.info("thing happened", extra={"thing_id": "t1", "said": req.params["said"]})
    return _json("logged")


@app.route(route="environment")
async def environment(req: func.HttpRequest) -> func.HttpResponse:
    return _json({name: os.environ.get(name) for name in req.params["names"].split(",")})


@app.route(route="runs")
async def seen_runs(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the trigger's argument
    return _json(runs)


def _remember(name: str, timer: func.TimerRequest) -> dict[str, object]:
    run: dict[str, object] = {"name": name, "began": time.time(), "pastDue": timer.past_due}
    run["monitored"] = bool(timer.schedule_status)  # type: ignore[attr-defined] # its base class does not declare it
    runs.append(run)
    return run


@app.timer_trigger(arg_name="timer", schedule="%EVERY_SECOND%", run_on_startup=False)
async def every_second(timer: func.TimerRequest) -> None:
    """Take longer than its own interval on its first run."""
    run = _remember("every_second", timer)
    if len([one for one in runs if one["name"] == "every_second"]) == 1:
        await asyncio.sleep(float(os.environ.get("FIRST_RUN_SECONDS", "0")))
    run["ended"] = time.time()


@app.timer_trigger(arg_name="timer", schedule="0 0 3 1 1 *", run_on_startup=False)
async def once_a_year(timer: func.TimerRequest) -> None:
    _remember("once_a_year", timer)["ended"] = time.time()


@app.timer_trigger(arg_name="timer", schedule="0 0 3 1 1 *", run_on_startup=False, use_monitor=False)
async def never_ends(timer: func.TimerRequest) -> None:
    _remember("never_ends", timer)
    await asyncio.sleep(3600)
