"""OAuth apps, as administrators keep them."""

from functools import cached_property

from shared.services.sign_in import SignInServices
from shared.usecases.oauth_apps.app_catalogue import AppCatalogue
from shared.usecases.oauth_apps.delete_app import DeleteApp
from shared.usecases.oauth_apps.register_app import RegisterApp
from shared.usecases.oauth_apps.verify_app import VerifyApp
from shared.usecases.timers.read_statistics import OpenBreakers


class OAuthAppServices(SignInServices):
    """Built bit by bit, as the connections are."""

    @cached_property
    def app_catalogue(self) -> AppCatalogue:
        return AppCatalogue(self.oauth_apps, self.settings.seed, self.breakers, self.principals)

    @cached_property
    def register_app(self) -> RegisterApp:
        return RegisterApp(
            self.oauth_apps,
            self.settings.seed,
            self.clouds,
            self.redirect_uri,
            self.apps,
            self.entra,
            self.clock,
            self.entropy,
        )

    @cached_property
    def delete_app(self) -> DeleteApp:
        return DeleteApp(self.oauth_apps, self.settings.seed, self.clouds, self.app_catalogue, self.apps, self.entra)

    @cached_property
    def verify_app(self) -> VerifyApp:
        return VerifyApp(
            self.oauth_apps,
            self.settings.seed,
            self.clouds,
            self.redirect_uri,
            self.msal,
            self.entra,
            self.principals,
            self.find,
            self.refresh_on_demand,
            self.probe_mailboxes,
            self.clock,
        )

    @cached_property
    def open_breakers(self) -> OpenBreakers:
        return OpenBreakers(self.apps, self.breakers)
