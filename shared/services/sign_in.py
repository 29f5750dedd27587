"""From a link to bound accounts."""

from functools import cached_property

from shared.services.grants import GrantServices
from shared.usecases.grants.prove_access import ProveAccess
from shared.usecases.sign_in.add_account import AddAccount
from shared.usecases.sign_in.begin_sign_in import BeginSignIn
from shared.usecases.sign_in.bind_mailbox import BindMailbox
from shared.usecases.sign_in.bind_proven import BindProven
from shared.usecases.sign_in.bind_signed_in import BindSignedIn
from shared.usecases.sign_in.browser_binding import BrowserBinding
from shared.usecases.sign_in.cancel_registration import CancelRegistration
from shared.usecases.sign_in.carried_grant import CarriedGrant
from shared.usecases.sign_in.claim_account import ClaimAccount
from shared.usecases.sign_in.complete_sign_in import CompleteSignIn
from shared.usecases.sign_in.keep_checking import KeepChecking
from shared.usecases.sign_in.live_links import LiveLinks
from shared.usecases.sign_in.open_link import OpenLink
from shared.usecases.sign_in.reauthorize_account import ReauthorizeAccount
from shared.usecases.sign_in.record_results import RecordResults
from shared.usecases.sign_in.start_registration import StartRegistration
from shared.usecases.sign_in.write_binding import WriteBinding


class SignInServices(GrantServices):
    """Built bit by bit, as the connections are."""

    @cached_property
    def binding(self) -> BrowserBinding:
        return BrowserBinding(self.sealer, self.entropy)

    @cached_property
    def start_registration(self) -> StartRegistration:
        settings = self.settings
        return StartRegistration(
            self.registrations,
            self.find,
            self.agenda,
            self.apps,
            settings.base_url,
            settings.redirect_origins,
            settings.link_lifetime,
            self.clock,
            self.entropy,
        )

    @cached_property
    def reauthorize_account(self) -> ReauthorizeAccount:
        return ReauthorizeAccount(self.find, self.apps, self.start_registration)

    @cached_property
    def cancel_registration(self) -> CancelRegistration:
        return CancelRegistration(self.registrations, self.principals)

    @cached_property
    def open_link(self) -> OpenLink:
        return OpenLink(self.registrations, self.live_links, self.find, self.apps, self.binding)

    @cached_property
    def live_links(self) -> LiveLinks:
        return LiveLinks(self.registrations, self.standing_callers, self.clock)

    @cached_property
    def begin_sign_in(self) -> BeginSignIn:
        return BeginSignIn(
            self.registrations,
            self.live_links,
            self.principals,
            self.find,
            self.apps,
            self.entra,
            self.binding,
            self.clock,
            self.entropy,
        )

    @cached_property
    def prove(self) -> ProveAccess:
        return ProveAccess(self.probes, self.entra)

    @cached_property
    def claim_account(self) -> ClaimAccount:
        return ClaimAccount(self.directory, self.find, self.remove_account, self.clock)

    @cached_property
    def bind_mailbox(self) -> BindMailbox:
        write = WriteBinding(
            self.principals, self.agenda, self.outbox, self.tally, self.clock, self.entropy, self.jitter
        )
        return BindMailbox(
            self.principals,
            self.directory,
            self.registrations,
            self.standing_callers,
            self.find,
            self.claim_account,
            write,
            self.remove_account,
            self.clock,
        )

    @cached_property
    def bind(self) -> BindProven:
        return BindProven(self.principals, self.standing_callers, self.find, self.prove, self.bind_mailbox)

    @cached_property
    def add_account(self) -> AddAccount:
        return AddAccount(
            self.apps, self.hand_out, self.limit_requests, self.bind, self.agenda, self.clock, self.entropy
        )

    @cached_property
    def record(self) -> RecordResults:
        return RecordResults(self.registrations, self.outbox, self.clock)

    @cached_property
    def keep_checking(self) -> KeepChecking:
        return KeepChecking(self.principals, self.live_links, self.agenda, self.record, self.carried_grant, self.clock)

    @cached_property
    def carried_grant(self) -> CarriedGrant:
        return CarriedGrant(self.binding, self.clock)

    @cached_property
    def bind_signed_in(self) -> BindSignedIn:
        return BindSignedIn(
            self.registrations,
            self.live_links,
            self.apps,
            self.entra,
            self.open_link,
            self.bind,
            self.keep_checking,
            self.record,
            self.carried_grant,
            self.outbox,
            self.clock,
        )

    @cached_property
    def complete_sign_in(self) -> CompleteSignIn:
        return CompleteSignIn(
            self.registrations, self.live_links, self.apps, self.entra, self.bind_signed_in, self.clock
        )
