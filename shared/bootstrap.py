"""Starts the app: the only place that reads the clock, draws random bytes and looks at the environment."""

import os
import random
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial

import azure.functions as func

from shared import api, schedules
from shared.adapters.shard_queue import QUEUE
from shared.assembly import Environment, assemble
from shared.http.audit import Audit
from shared.http.handling import ApiHandling
from shared.http.limits import RequestLimits
from shared.http.operations import blueprint_of
from shared.pages.render import Pages
from shared.ports import App, Clock
from shared.reference import documents
from shared.settings import Settings, read_settings
from shared.telemetry import quiet_libraries, tell_fields, write_audit
from shared.triggers import sign_in, unmatched
from shared.triggers.browser_pages import BrowserPages
from shared.usecases.sign_in.complete import complete_sign_in, finish_sign_in
from shared.usecases.sign_in.link import begin_sign_in, open_link
from shared.usecases.sign_in.wait import keep_checking


def build(values: Mapping[str, str], clock: Clock | None = None) -> App:
    """The App of these environment variables. Raises SettingsError with every fault in them."""
    return build_from(read_settings(values), clock)


def build_from(settings: Settings, clock: Clock | None = None) -> App:
    """The App of these settings."""
    return assemble(settings, Environment(clock or now, secrets.token_bytes, random.random, write_audit))


def now() -> datetime:
    """The one clock."""
    return datetime.now(UTC)


def build_app() -> func.FunctionApp:
    """The Functions app, from the environment."""
    quiet_libraries()
    tell_fields()
    app = build(os.environ)
    audit, limits = Audit(app.audit, app.clock, app.entropy), RequestLimits(app.rate_limit.count, app.config.proxies)
    pages = BrowserPages(Pages(app.entropy), app.oauth_apps, audit, app.config.redirect_uri)
    operations = [each for resource in (*api.RESOURCES, documents.resource) for each in resource.operations]
    sign_in_routes = sign_in.blueprint(
        pages,
        limits,
        partial(open_link, app),
        partial(begin_sign_in, app),
        partial(complete_sign_in, app),
        partial(finish_sign_in, app),
        partial(keep_checking, app),
    )
    blueprints = (
        blueprint_of(operations, ApiHandling(app, audit, limits).handler_of),
        sign_in_routes,
        schedules.blueprint(app, queue=QUEUE),
        unmatched.blueprint(pages, [*(each.route for each in operations), *sign_in_routes.declared]),
    )
    functions = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
    for blueprint in blueprints:
        functions.register_functions(blueprint)
    return functions
