"""Starts the app: the only place that reads the clock, draws random bytes and looks at the environment."""

import os
import random
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime

import azure.functions as func

from shared.adapters.shard_queue import QUEUE
from shared.pages.render import Pages
from shared.ports import Clock
from shared.services import Services
from shared.settings import read_settings
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
    timers,
    tokens,
    unmatched,
    webhook_settings,
    webhooks,
)
from shared.triggers.audit import Audit
from shared.triggers.browser_pages import BrowserPages
from shared.triggers.callers import Callers
from shared.triggers.reference import Reference
from shared.triggers.request_limits import RequestLimits
from shared.triggers.routes import Routes
from shared.usecases.grants.list_accounts import ListAccounts


def build_services(values: Mapping[str, str], clock: Clock | None = None) -> Services:
    """Services for these settings. Raises SettingsError with every fault in them."""
    return Services(read_settings(values), clock or now, secrets.token_bytes, random.random)


def now() -> datetime:
    """The one clock."""
    return datetime.now(UTC)


def build_app() -> func.FunctionApp:
    """The Functions app, from the environment."""
    quiet_libraries()
    tell_fields()
    services = build_services(os.environ)
    settings = services.settings
    limits = RequestLimits(services.limit_requests, settings.proxies)
    audit = Audit(write_audit, services.clock, services.entropy)
    callers = Callers(services.identify_caller, limits, audit, settings.proxies)
    rendered = Pages(services.entropy)
    pages = BrowserPages(rendered, services.apps, audit, services.redirect_uri)
    app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
    blueprints = (
        authentication_form.blueprint(
            callers,
            limits,
            services.start_registration,
            services.cancel_registration,
            services.registrations,
            services.clock,
        ),
        sign_in.blueprint(
            pages,
            limits,
            services.open_link,
            services.begin_sign_in,
            services.complete_sign_in,
            services.bind_signed_in,
            services.keep_checking,
        ),
        accounts.blueprint(
            callers,
            ListAccounts(services.principals, services.sealer),
            services.read_account,
            services.remove_account,
            services.reconnect_account,
        ),
        further_accounts.blueprint(callers, limits, services.add_account, services.start_registration),
        account_changes.blueprint(callers, limits, services.change_account, services.reauthorize_account),
        oauth_token.blueprint(callers, services.hand_out, services.answer_challenge, services.apps),
        tokens.blueprint(callers, services.api_tokens, services.issue_token, services.revoke_token, services.clock),
        oauth_apps.blueprint(
            callers, services.app_catalogue, services.register_app, services.delete_app, services.verify_app
        ),
        operation.blueprint(callers, services.read_health, services.read_statistics, services.clock),
        reference.blueprint(Reference(settings.base_url, rendered), audit),
        webhooks.blueprint(callers, limits, services.subscribe, services.webhook_care, settings.base_url),
        webhook_settings.blueprint(callers, services.webhooks, services.change_settings, settings.base_url),
        timers.blueprint(
            services.run_tick,
            services.sweep,
            services.deliver_events,
            services.tidy,
            services.clock,
            services.entropy,
            queue=QUEUE,
        ),
    )
    declared = [route for each in blueprints if isinstance(each, Routes) for route in each.declared]
    for blueprint in (*blueprints, unmatched.blueprint(pages, declared)):
        app.register_functions(blueprint)
    return app
