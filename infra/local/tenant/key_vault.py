"""The two operations of Azure Key Vault that Mailbind needs, and the key that they need (Key Vault REST API, keys).

The vault is at the tenant's own address. A client of Key Vault checks that the resource of the challenge is a domain
above the vault's host, as `vault.azure.net` is above `contoso.vault.azure.net`; here it is `0.0.1` above `127.0.0.1`.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA256
from jwt.algorithms import RSAAlgorithm
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from infra.local.tenant.tenant import Tenant
from infra.local.tenant.vault_keys import Version

OAEP_256 = padding.OAEP(padding.MGF1(SHA256()), SHA256(), None)
OPERATIONS = ["encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"]
# Azure built-in roles: it may read keys, wrap and unwrap.
ROLE = "Key Vault Crypto Service Encryption User"


class Denied(Exception):
    """The answer is an error, in Key Vault's words (azure-docs key-vault/general/rest-error-codes.md)."""

    def __init__(self, status: int, code: str, message: str, inner: str | None = None) -> None:
        super().__init__(code)
        self.status = status
        self.body: dict[str, Any] = {"error": {"code": code, "message": message}}
        if inner:
            self.body["error"]["innererror"] = {"code": inner}


class KeyVaultEndpoint:
    """GET /keys/{name}/{version}, POST …/wrapkey, POST …/unwrapkey."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self._resource = tenant.origin.replace("127.", "", 1)

    async def key(self, request: Request) -> Response:
        """The public key of a version, disabled or not; of the newest one when none is named."""
        return self._answering(request, lambda: self._bundle(request.path_params["name"], self._find(request)))

    async def wrap(self, request: Request) -> Response:
        """Encrypt a data key for this version."""
        body = await request.body()

        def wrap() -> dict[str, Any]:
            version = self._enabled(request, "wrapKey")
            return self._result(request, version, version.key.public_key().encrypt(_value(body), OAEP_256))

        return self._answering(request, wrap)

    async def unwrap(self, request: Request) -> Response:
        """Decrypt what was wrapped for this version."""
        body = await request.body()

        def unwrap() -> dict[str, Any]:
            version = self._enabled(request, "unwrapKey")
            try:
                data_key = version.key.decrypt(_value(body), OAEP_256)
            except ValueError as error:
                raise Denied(400, "BadParameter", "The parameter is incorrect.") from error
            self._tenant.note("unwrapped", key=request.path_params["name"], version=version.id)
            return self._result(request, version, data_key)

        return self._answering(request, unwrap)

    def _answering(self, request: Request, act: Callable[[], dict[str, Any]]) -> Response:
        try:
            self._authorize(request)
            return JSONResponse(act())
        except Denied as denied:
            headers = {"WWW-Authenticate": self._challenge()} if denied.status == 401 else {}  # noqa: PLR2004 - HTTP's
            return JSONResponse(denied.body, denied.status, headers)

    def _challenge(self) -> str:
        authority = f"{self._tenant.origin}/{self._tenant.directory.tenant_id}"
        return f'Bearer authorization="{authority}", resource="{self._resource}"'

    def _authorize(self, request: Request) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Denied(401, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.")
        issuer = f"https://sts.windows.net/{self._tenant.directory.tenant_id}/"
        try:
            options: Any = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
            public = self._tenant.keys.signing.public_key()
            claims = jwt.decode(
                token, public, algorithms=["RS256"], audience=self._resource, issuer=issuer, options=options
            )
        except jwt.InvalidTokenError as error:
            raise Denied(401, "Unauthorized", "AKV10022: Invalid audience, issuer or signature.") from error
        if claims["exp"] < self._tenant.now():
            raise Denied(401, "Unauthorized", "AKV10031: The token has expired.")
        identity = self._tenant.directory.identities.get(claims["appid"])
        if identity is None or ROLE not in identity.roles:
            message = "Caller is not authorized to perform action on resource."
            raise Denied(403, "Forbidden", message, "ForbiddenByRbac")

    def _find(self, request: Request) -> Version:
        name, version = request.path_params["name"], request.path_params["version"]
        found = self._tenant.vault.find(name, version)
        if found is None:
            message = f"A key with (name/id) {name}/{version} was not found in this key vault."
            raise Denied(404, "KeyNotFound", message)
        return found

    def _enabled(self, request: Request, operation: str) -> Version:
        found = self._find(request)
        if not found.enabled:
            raise Denied(403, "Forbidden", f"Operation {operation} is not allowed on a disabled key.", "KeyDisabled")
        return found

    def _identifier(self, name: str, version: Version) -> str:
        return f"{self._tenant.origin}/keys/{name}/{version.id}"

    def _bundle(self, name: str, version: Version) -> dict[str, Any]:
        jwk = RSAAlgorithm.to_jwk(version.key.public_key(), as_dict=True)
        public = {member: jwk[member] for member in ("kty", "n", "e")}
        return {
            "key": {"kid": self._identifier(name, version), "key_ops": OPERATIONS, **public},
            "attributes": {"enabled": version.enabled, "recoveryLevel": "Recoverable+Purgeable"},
        }

    def _result(self, request: Request, version: Version, value: bytes) -> dict[str, Any]:
        encoded = urlsafe_b64encode(value).rstrip(b"=").decode()
        return {"kid": self._identifier(request.path_params["name"], version), "value": encoded}


def _value(body: bytes) -> bytes:
    try:
        asked = json.loads(body)
        text = str(asked["value"])
        if asked["alg"] != "RSA-OAEP-256":
            raise Denied(400, "BadParameter", "Property alg has an invalid value.")
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (ValueError, KeyError, TypeError) as error:
        raise Denied(400, "BadParameter", "Property has an invalid value.") from error
