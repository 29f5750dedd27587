"""Starts the app: the only place that reads the clock, draws random bytes and looks at the environment."""

import os
import random
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial

import azure.functions as func

from shared import schedules
from shared.adapters.shard_queue import QUEUE
from shared.assembly import Environment, assemble
from shared.http.audit import Audit
from shared.http.callers import Callers
from shared.http.limits import RequestLimits
from shared.http.routes import Routes
from shared.pages.render import Pages
from shared.ports import App, Clock
from shared.settings import Settings, read_settings
from shared.telemetry import quiet_libraries, tell_fields, write_audit
from shared.triggers import (
    account_changes,
    accounts,
    authentication_form,
    further_accounts,
    oauth_apps,
    oauth_token,
    operation,
    reference,
    sign_in,
    tokens,
    unmatched,
    webhook_settings,
    webhooks,
)
from shared.triggers.browser_pages import BrowserPages
from shared.triggers.reference import Reference
from shared.usecases.accounts.change import change_account, remove_account
from shared.usecases.accounts.read import list_accounts, read_account
from shared.usecases.apps.catalogue import delete_oauth_app
from shared.usecases.apps.verify import verify_oauth_app
from shared.usecases.callers.api_tokens import issue_token, revoke_token
from shared.usecases.callers.identify import identify_caller
from shared.usecases.events.webhooks import change_settings, subscribe
from shared.usecases.sign_in.complete import complete_sign_in, finish_sign_in
from shared.usecases.sign_in.further import add_account
from shared.usecases.sign_in.link import begin_sign_in, open_link
from shared.usecases.sign_in.start import cancel_registration, reauthorize_account, start_registration
from shared.usecases.sign_in.wait import keep_checking
from shared.usecases.tokens.hand_out import answer_challenge, hand_out
from shared.usecases.tokens.probe import reconnect_account
from shared.usecases.upkeep.statistics import read_health, read_statistics


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
    settings = read_settings(os.environ)
    app = build_from(settings)
    limits = RequestLimits(app.rate_limit.count, settings.proxies)
    audit = Audit(write_audit, app.clock, app.entropy)
    callers = Callers(partial(identify_caller, app), limits, audit, settings.proxies)
    rendered = Pages(app.entropy)
    pages = BrowserPages(rendered, app.oauth_apps, audit, app.config.redirect_uri)
    functions = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
    blueprints = (
        authentication_form.blueprint(
            callers,
            limits,
            partial(start_registration, app),
            partial(cancel_registration, app),
            app.stores.registrations,
            app.clock,
        ),
        sign_in.blueprint(
            pages,
            limits,
            partial(open_link, app),
            partial(begin_sign_in, app),
            partial(complete_sign_in, app),
            partial(finish_sign_in, app),
            partial(keep_checking, app),
        ),
        accounts.blueprint(
            callers,
            partial(list_accounts, app),
            partial(read_account, app),
            partial(remove_account, app),
            partial(reconnect_account, app),
        ),
        further_accounts.blueprint(callers, limits, partial(add_account, app), partial(start_registration, app)),
        account_changes.blueprint(callers, limits, partial(change_account, app), partial(reauthorize_account, app)),
        oauth_token.blueprint(callers, partial(hand_out, app), partial(answer_challenge, app), app.oauth_apps),
        tokens.blueprint(
            callers, app.stores.api_tokens, partial(issue_token, app), partial(revoke_token, app), app.clock
        ),
        oauth_apps.blueprint(callers, app, partial(delete_oauth_app, app), partial(verify_oauth_app, app)),
        operation.blueprint(callers, partial(read_health, app), partial(read_statistics, app), app.clock),
        reference.blueprint(Reference(settings.base_url, rendered), audit),
        webhooks.blueprint(callers, limits, partial(subscribe, app), app, settings.base_url),
        webhook_settings.blueprint(callers, app.stores.webhooks, partial(change_settings, app), settings.base_url),
        schedules.blueprint(app, queue=QUEUE),
    )
    declared = [route for each in blueprints if isinstance(each, Routes) for route in each.declared]
    for blueprint in (*blueprints, unmatched.blueprint(pages, declared)):
        functions.register_functions(blueprint)
    return functions
