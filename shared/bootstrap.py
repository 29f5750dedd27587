"""Starts the app. Only this module reads the clock and draws random bytes."""

import os
import random
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime

import azure.functions as func

from shared import api, schedules
from shared.adapters.shard_queue import QUEUE
from shared.assembly import Environment, assemble
from shared.browser import sign_in_pages, start_page, unmatched
from shared.browser.handling import BrowserHandling
from shared.confined.handling import ROUTE, ConfinedHandling
from shared.http.audit import Audit
from shared.http.handling import ApiHandling
from shared.http.limits import RequestLimits
from shared.http.operations import blueprint_of
from shared.ports import App, Clock
from shared.reference import documents
from shared.settings import Settings, read_settings
from shared.telemetry import quiet_libraries, write_audit, write_fields_to_text


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
    write_fields_to_text()
    app = build(os.environ)
    audit, limits = Audit(app.audit, app.clock, app.entropy), RequestLimits(app.rate_limit.count, app.config.proxies)
    without_sign_in = (*api.RESOURCES, documents.resource, start_page.resource)
    api_operations = [each for resource in without_sign_in for each in resource.operations]
    browser_operations = sign_in_pages.resource.operations
    declared = [ROUTE, *(operation.route for operation in (*api_operations, *browser_operations))]
    blueprints = (
        blueprint_of(api_operations, ApiHandling(app, audit, limits).handler_of),
        blueprint_of(browser_operations, BrowserHandling(app, audit, limits).handler_of),
        ConfinedHandling(app, audit, limits).blueprint(),
        unmatched.blueprint(app, audit, declared),
        schedules.blueprint(app, queue=QUEUE),
    )
    functions = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
    for blueprint in blueprints:
        functions.register_functions(blueprint)
    return functions
