"""API tokens are cached for 30 seconds, and their use is recorded once an hour."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from infra.local.azurite import Azurite
from shared.domain.caller import ApiToken, Scope
from shared.domain.errors import InvalidToken
from shared.domain.formats import fingerprint
from shared.domain.secret import Secret
from shared.ports import ApiTokens, App, Stored
from shared.usecases.callers.api_tokens import CachedApiTokens, Issued, TokenWish, issue_token, revoke_token
from shared.usecases.callers.identify import ADMINISTRATOR, identify_caller
from tests.conftest import MovedClock
from tests.usecases.conftest import StartApp

WISH = TokenWish("orders", frozenset({Scope.OAUTH_TOKEN}))


class CountedRows:
    """API tokens in storage, and the ids that were read."""

    def __init__(self, reads_from: ApiTokens, writes_to: ApiTokens) -> None:
        self.reads_from, self.writes_to = reads_from, writes_to
        self.reads: list[str] = []

    async def get(self, token_id: str) -> Stored[ApiToken] | None:
        self.reads.append(token_id)
        return await self.reads_from.get(token_id)

    async def replace(self, stored: Stored[ApiToken], token: ApiToken) -> object:
        return await self.writes_to.replace(stored, token)


def with_tokens(app: App, rows: CountedRows) -> App:
    cache = CachedApiTokens(rows, app.clock)  # type: ignore[arg-type] # passes on
    return replace(app, callers=replace(app.callers, api_tokens=cache))


async def issue(app: App) -> Issued:
    return await issue_token(app, WISH, {}, ADMINISTRATOR)


async def test_revoked_token_stops_everywhere_in_30_seconds(app: App, new_app: StartApp, clock: MovedClock) -> None:
    issued, instances = await issue(app), (new_app(), new_app())
    for instance in instances:
        assert f"token:{issued.id}" == (await identify_caller(instance, issued.token, None)).id

    assert issued.id == await revoke_token(app, issued.id, ADMINISTRATOR)
    clock.forward(seconds=30)

    for instance in instances:
        with pytest.raises(InvalidToken):
            await identify_caller(instance, issued.token, None)


async def test_cached_token_costs_no_read_and_a_wrong_one_costs_one(app: App) -> None:
    rows = CountedRows(app.stores.api_tokens, app.stores.api_tokens)
    counted, right, wrong = with_tokens(app, rows), await issue(app), "0" * 64
    for _ in range(5):
        await identify_caller(counted, right.token, None)
        for token in (wrong, "no-token", wrong[1:]):
            with pytest.raises(InvalidToken):
                await identify_caller(counted, Secret(token), None)
    await counted.callers.api_tokens.flush()

    assert [right.id, fingerprint(wrong)] == rows.reads


async def test_last_use_is_recorded_once_an_hour(
    app: App, new_app: StartApp, app_values: Mapping[str, str], storage: Azurite, clock: MovedClock
) -> None:
    issued = await issue(app)

    async def use(instance: App, **later: float) -> datetime:
        clock.forward(**later)
        assert (await identify_caller(instance, issued.token, None)).name == "orders"
        await instance.callers.api_tokens.flush()
        stored = await app.stores.api_tokens.get(issued.id)
        assert stored is not None
        assert stored.value.last_used is not None
        return stored.value.last_used

    first = await use(app)
    assert timedelta(minutes=1) > abs(datetime.now(UTC) - first)
    assert first == await use(app, minutes=59)
    assert timedelta(minutes=61) > (second := await use(app, minutes=1)) - first >= timedelta(minutes=60)

    unreachable = app_values["MAILBIND_TABLES"].replace(storage.tables_url, "http://127.0.0.1:9/nobody")
    assert unreachable != app_values["MAILBIND_TABLES"]
    down = new_app(MAILBIND_TABLES=unreachable)
    read_only = with_tokens(app, CountedRows(app.stores.api_tokens, down.stores.api_tokens))
    assert second == await use(read_only, hours=2)
