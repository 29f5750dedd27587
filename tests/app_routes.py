"""The app's HTTP functions, as the app itself tells them to the host."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from shared.bootstrap import build_app
from tests.conftest import settings_for

SETTINGS = settings_for("UseDevelopmentStorage=true")


@dataclass(frozen=True)
class HttpFunction:
    """A function with the template of its route, its methods (none for any), and what the host calls."""

    name: str
    template: str
    methods: frozenset[str]
    handler: Callable[..., Any] | None = field(default=None, compare=False)


def http_functions(settings: Mapping[str, str] = SETTINGS) -> list[HttpFunction]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        functions = build_app().get_functions()
    found = [(one, trigger.get_dict_repr()) for one in functions if (trigger := one.get_trigger())]
    return [
        HttpFunction(
            str(one.get_function_name()),
            trigger["route"],
            frozenset(method.value for method in trigger.get("methods") or ()),
            one.get_user_function(),
        )
        for one, trigger in found
        if trigger["type"] == "httpTrigger"
    ]


def operations() -> list[str]:
    """What callers and browsers are told of, as `GET v1/accounts`: without HEAD, and without routes that catch all.

    Of those, the table of operations says what is possible under one, and the other is for the rest.
    """
    return sorted(
        f"{method} {one.template}"
        for one in http_functions()
        for method in one.methods
        if method != "HEAD" and "{*" not in one.template
    )
