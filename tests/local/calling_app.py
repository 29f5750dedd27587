"""A line-of-business app that gets tokens with Microsoft's unmodified libraries."""

from collections.abc import Mapping

import msal
import requests
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import ClientSecretCredential

ORDERS, SECRET = "0d5e7a61-94c2-4b0e-a3f8-1c6b29d4e870", "local-secret-of-contoso-orders"
API, API_CLIENT_ID = "api://mailbind.contoso.example", "6b1f0a9e-27d3-4c58-9e14-80f5c3a7d2b6"


def session(ready: Mapping[str, str]) -> requests.Session:
    """A session that trusts the tenant."""
    session = requests.Session()
    session.trust_env = False
    session.verify = ready["caFile"]
    return session


def msal_application(ready: Mapping[str, str], http: requests.Session) -> msal.ConfidentialClientApplication:
    """A new client with an empty token cache."""
    return msal.ConfidentialClientApplication(
        ORDERS,
        client_credential=SECRET,
        authority=f"{ready['url']}/{ready['tenantId']}",
        instance_discovery=False,
        http_client=http,
    )


def token_by_msal(ready: Mapping[str, str], scope: str = f"{API}/.default") -> str:
    with session(ready) as http:
        response = msal_application(ready, http).acquire_token_for_client([scope])
    assert "access_token" in response, response
    return str(response["access_token"])


def token_by_azure_identity(ready: Mapping[str, str], scope: str = f"{API}/.default") -> str:
    transport = RequestsTransport(connection_verify=ready["caFile"], use_env_settings=False)
    with ClientSecretCredential(
        ready["tenantId"],
        ORDERS,
        SECRET,
        authority=ready["url"],
        disable_instance_discovery=True,
        transport=transport,
    ) as credential:
        return credential.get_token(scope).token
