"""How an OAuth app proves to Entra that it is itself."""

from dataclasses import dataclass

from shared.domain.secret import Secret


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """A secret that Entra made, and that ends some day."""

    secret: Secret


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A certificate that is registered with the app, and its private key; both PEM (Entra: certificate credentials)."""

    private_key: Secret
    certificate: str


@dataclass(frozen=True, slots=True)
class FederatedIdentity:
    """A user-assigned managed identity that the app trusts, by its client id: nothing to keep, nothing that ends.

    Entra calls it a federated identity credential (workload identity federation, "managed identity as a credential").
    """

    identity: str


type ClientCredential = ClientSecret | ClientCertificate | FederatedIdentity
