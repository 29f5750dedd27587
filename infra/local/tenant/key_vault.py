"""The calls of Azure Key Vault that Mailbind makes: read a key, wrap and unwrap a data key.

https://learn.microsoft.com/rest/api/keyvault/keys/operation-groups

The vault is at the tenant's own address. A Key Vault client checks that the challenge's resource is a parent domain
of the vault's host, such as `vault.azure.net` of `contoso.vault.azure.net`. Here it is `0.0.1` of `127.0.0.1`.
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
from infra.local.tenant.vault_keys import KeyVersion

OAEP_256 = padding.OAEP(padding.MGF1(SHA256()), SHA256(), None)
OPERATIONS = ["encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"]
# This role can read keys, wrap and unwrap.
# https://learn.microsoft.com/azure/role-based-access-control/built-in-roles/security
REQUIRED_ROLE = "Key Vault Crypto Service Encryption User"


class VaultError(Exception):
    """A call fails with one of Key Vault's errors.

    https://learn.microsoft.com/azure/key-vault/general/rest-error-codes
    """

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
        """Return the public key of a version, enabled or disabled. The newest version is the default."""
        return self._respond(request, lambda: self._key_body(request.path_params["name"], self._find(request)))

    async def wrap(self, request: Request) -> Response:
        """Encrypt a data key with a version."""
        body = await request.body()

        def wrap() -> dict[str, Any]:
            version = self._find_enabled(request, "wrapKey")
            return self._result_body(request, version, version.key.public_key().encrypt(_decode_value(body), OAEP_256))

        return self._respond(request, wrap)

    async def unwrap(self, request: Request) -> Response:
        """Decrypt a data key that was wrapped with a version."""
        body = await request.body()

        def unwrap() -> dict[str, Any]:
            version = self._find_enabled(request, "unwrapKey")
            try:
                data_key = version.key.decrypt(_decode_value(body), OAEP_256)
            except ValueError as error:
                raise VaultError(400, "BadParameter", "The parameter is incorrect.") from error
            self._tenant.note("unwrapped", key=request.path_params["name"], version=version.id)
            return self._result_body(request, version, data_key)

        return self._respond(request, unwrap)

    def _respond(self, request: Request, act: Callable[[], dict[str, Any]]) -> Response:
        try:
            self._authorize(request)
            return JSONResponse(act())
        except VaultError as error:
            headers = {"WWW-Authenticate": self._challenge()} if error.status == 401 else {}  # noqa: PLR2004 - HTTP's status for missing authentication
            return JSONResponse(error.body, error.status, headers)

    def _challenge(self) -> str:
        authority = f"{self._tenant.origin}/{self._tenant.directory.tenant_id}"
        return f'Bearer authorization="{authority}", resource="{self._resource}"'

    def _authorize(self, request: Request) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise VaultError(401, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.")
        issuer = f"https://sts.windows.net/{self._tenant.directory.tenant_id}/"
        try:
            options: Any = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
            public_key = self._tenant.keys.signing.public_key()
            claims = jwt.decode(
                token, public_key, algorithms=["RS256"], audience=self._resource, issuer=issuer, options=options
            )
        except jwt.InvalidTokenError as error:
            raise VaultError(401, "Unauthorized", "AKV10022: Invalid audience, issuer or signature.") from error
        if claims["exp"] < self._tenant.now():
            raise VaultError(401, "Unauthorized", "AKV10031: The token has expired.")
        identity = self._tenant.directory.identities.get(claims["appid"])
        if identity is None or REQUIRED_ROLE not in identity.roles:
            message = "Caller is not authorized to perform action on resource."
            raise VaultError(403, "Forbidden", message, "ForbiddenByRbac")

    def _find(self, request: Request) -> KeyVersion:
        name, version_id = request.path_params["name"], request.path_params["version"]
        version = self._tenant.vault.find(name, version_id)
        if version is None:
            message = f"A key with (name/id) {name}/{version_id} was not found in this key vault."
            raise VaultError(404, "KeyNotFound", message)
        return version

    def _find_enabled(self, request: Request, operation: str) -> KeyVersion:
        version = self._find(request)
        if not version.enabled:
            raise VaultError(
                403, "Forbidden", f"Operation {operation} is not allowed on a disabled key.", "KeyDisabled"
            )
        return version

    def _identifier(self, name: str, version: KeyVersion) -> str:
        return f"{self._tenant.origin}/keys/{name}/{version.id}"

    def _key_body(self, name: str, version: KeyVersion) -> dict[str, Any]:
        jwk = RSAAlgorithm.to_jwk(version.key.public_key(), as_dict=True)
        public = {member: jwk[member] for member in ("kty", "n", "e")}
        return {
            "key": {"kid": self._identifier(name, version), "key_ops": OPERATIONS, **public},
            "attributes": {"enabled": version.enabled, "recoveryLevel": "Recoverable+Purgeable"},
        }

    def _result_body(self, request: Request, version: KeyVersion, value: bytes) -> dict[str, Any]:
        encoded = urlsafe_b64encode(value).rstrip(b"=").decode()
        return {"kid": self._identifier(request.path_params["name"], version), "value": encoded}


def _decode_value(body: bytes) -> bytes:
    try:
        fields = json.loads(body)
        text = str(fields["value"])
        if fields["alg"] != "RSA-OAEP-256":
            raise VaultError(400, "BadParameter", "Property alg has an invalid value.")
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (ValueError, KeyError, TypeError) as error:
        raise VaultError(400, "BadParameter", "Property has an invalid value.") from error
