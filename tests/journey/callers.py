"""Every kind of caller there is, as the header by which it calls."""

import base64
import hashlib
import hmac
import json
import secrets
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from infra.local.environment import Environment
from shared.domain.caller import ApiToken, Binding, Scope
from shared.domain.formats import fingerprint
from shared.ports import App
from tests.local.calling_app import API, ORDERS, token_by_msal

INSIDE, OUTSIDE = "Bound-Inside", "other-outside"
WORK = frozenset(Scope) - {Scope.ADMIN}


@dataclass(frozen=True)
class Kind:
    """A kind of caller. `refused` is the status of every call; without it, scopes and reach decide."""

    headers: Mapping[str, str]
    scopes: frozenset[Scope] = frozenset()
    refused: int | None = None
    bound: str | None = None


async def api_token(services: App, scopes: frozenset[Scope], **more: Any) -> str:
    """A token as it is stored when it is issued."""
    token = secrets.token_hex(32)
    kept = ApiToken(fingerprint(token), "a test's", scopes, services.clock(), "test")
    await services.stores.api_tokens.insert(replace(kept, **more))
    return token


async def kinds_with_api_tokens(environment: Environment, services: App) -> dict[str, Kind]:
    admin, past = environment.secrets.admin_token, services.clock() - timedelta(seconds=1)
    revoked = await api_token(services, WORK)
    stored = await services.stores.api_tokens.get(fingerprint(revoked))
    assert stored is not None
    await services.stores.api_tokens.remove(stored)
    # The host sees the client's address, as the platform's front end does; other headers are written by the client.
    here = await api_token(services, WORK, addresses=("192.0.2.1/32", "127.0.0.0/8"))
    elsewhere = await api_token(services, WORK, addresses=("203.0.113.0/24", "2001:db8::/32"))
    bound = await api_token(services, WORK, binding=Binding.to([INSIDE]))
    prefixed = await api_token(services, WORK, binding=Binding.to(prefixes=["bound-"]))
    others = await api_token(services, WORK, binding=Binding.to([OUTSIDE], ["bounds"]))
    kinds = {
        "nobody": Kind({}, refused=401),
        "no bearer": Kind({"Authorization": f"Basic {admin}"}, refused=401),
        "empty bearer": Kind({"Authorization": "Bearer"}, refused=401),
        "malformed": Kind(bearer(f"{admin} {admin}"), refused=401),
        "two tokens": Kind(bearer(f"{admin},Bearer {admin}"), refused=401),
        "unknown": Kind(bearer(secrets.token_hex(32)), refused=401),
        "administrator's in capitals": Kind(bearer(admin.upper()), refused=401),
        "id in place of token": Kind(bearer(fingerprint(bound)), refused=401),
        "expired": Kind(bearer(await api_token(services, WORK, expires=past)), refused=401),
        "revoked": Kind(bearer(revoked), refused=401),
        "from elsewhere": Kind(bearer(elsewhere), refused=403),
        "from elsewhere, lying": Kind(bearer(elsewhere) | {"X-Forwarded-For": "203.0.113.9"}, refused=403),
        "from the right place": Kind(bearer(here), WORK),
        "administrator": Kind(bearer(admin), frozenset({Scope.ADMIN})),
        "bound to it": Kind(bearer(bound), WORK, bound="inside"),
        "bound to its beginning": Kind(bearer(prefixed), WORK, bound="inside"),
        "bound to others": Kind(bearer(others), WORK, bound="outside"),
        "without scopes": Kind(bearer(await api_token(services, frozenset()))),
    }
    for scope in Scope:
        kinds[f"token with {scope}"] = Kind(bearer(await api_token(services, frozenset({scope}))), frozenset({scope}))
    return kinds


def kinds_with_entra_tokens(environment: Environment) -> dict[str, Kind]:
    ready = environment.tenant.ready
    tenant = httpx.Client(base_url=ready["controlUrl"], verify=ssl.create_default_context(cafile=ready["caFile"]))

    def issued(*roles: str, **claims: Any) -> str:
        tenant.post("/app", json={"clientId": ORDERS, "roles": [f"{API}/{role}" for role in roles]})
        if claims:
            tenant.post("/app-token", json={"claims": claims})
        return token_by_msal(ready)

    def refused(**claims: Any) -> Kind:
        return Kind(bearer(issued(*WORK, **claims)), refused=401)

    with tenant:
        now, good = int(jwt.decode(issued(), options={"verify_signature": False})["iat"]), issued(*Scope)
        kinds = {f"application with {s}": Kind(bearer(issued(s)), frozenset({s})) for s in Scope}
        kinds |= {f"application, {kind}": Kind(bearer(token), refused=401) for kind, token in forged(good, ready)}
        tenant.post("/api", json={"address": API, "tokenVersion": 2})
        kinds["application with a token of v2.0"] = Kind(bearer(issued(*WORK)), WORK)
        tenant.post("/reset", json={})
        kinds |= {
            "application without roles": Kind(bearer(issued())),
            "application with foreign roles": Kind(bearer(issued(roles=["Mail.Read", "ADMIN", "", "api"]))),
            "application, for another API": refused(aud="https://graph.microsoft.com"),
            "application, for two APIs that are not this": refused(aud=["https://graph.microsoft.com", "api://x"]),
            "application of another tenant": refused(tid=OTHER, iss=f"https://sts.windows.net/{OTHER}/"),
            "application that says another tenant": refused(tid=OTHER),
            "application of no tenant": refused(tid=""),
            "application of a piece of the issuer": refused(tid="sts.windows.net"),
            "application with a blank in its id": refused(appid=f"{ORDERS} "),
            "application whose id is no id": refused(appid="orders"),
            "application, by another issuer": refused(iss=f"{ready['url']}/{OTHER}/v2.0"),
            "application, by no issuer": refused(iss=None),
            "application, expired": refused(exp=now - 3600),
            "application, never expiring": refused(exp=None),
            "application, too early": refused(nbf=now + 3600),
            "application, at any time": refused(nbf=None),
            "application, since before time": refused(nbf=-(10**30)),
            "application without an id": refused(appid=None),
            "person through an application": refused(scp="access_as_user"),
            "person with roles": refused(sub="pairwise"),
            "person by type": refused(idtyp="user"),
            "roles that are no list": refused(roles="admin"),
        }
        tenant.post("/reset", json={})
    return kinds


OTHER = "9188040d-6c67-4c5b-b112-36a304b66dad"


def forged(good: str, ready: Mapping[str, str]) -> list[tuple[str, str]]:
    """Tokens that look valid but were not signed by the tenant."""
    head, body, signature = good.split(".")
    claims, kid = jwt.decode(good, options={"verify_signature": False}), jwt.get_unverified_header(good)["kid"]
    mine = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    trust = ssl.create_default_context(cafile=ready["caFile"])
    keys = httpx.get(f"{ready['url']}/{ready['tenantId']}/discovery/keys", verify=trust).json()
    public = jwt.PyJWKSet.from_dict(keys)[kid].key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    confused = f"{_part({'alg': 'HS256', 'typ': 'JWT', 'kid': kid})}.{body}"
    mac = base64.urlsafe_b64encode(hmac.digest(public, confused.encode(), hashlib.sha256)).rstrip(b"=").decode()
    more = _part({**claims, "roles": [*Scope], "name": "more"})
    return [
        ("signed by somebody else", jwt.encode(claims, mine, "RS256", {"kid": kid})),
        ("signed with a key of another name", jwt.encode(claims, mine, "RS256", {"kid": "mine"})),
        ("signed with a key of no name", jwt.encode(claims, mine, "RS256")),
        ("not signed", f"{_part({'alg': 'none', 'kid': kid})}.{body}."),
        ("not signed, in capitals", f"{_part({'alg': 'NONE', 'kid': kid})}.{body}.{signature}"),
        ("signed with the public key", f"{confused}.{mac}"),
        ("with other claims", f"{head}.{more}.{signature}"),
        ("without its signature", f"{head}.{body}."),
        ("cut", good[:-4]),
    ]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _part(document: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()
