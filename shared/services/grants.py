"""Accounts and the grants that serve them: read, changed, handed out, refreshed."""

from functools import cached_property

from shared.services.callers import CallerServices
from shared.usecases.grants.answer_challenge import AnswerChallenge
from shared.usecases.grants.change_account import ChangeAccount
from shared.usecases.grants.find_account import FindAccount
from shared.usecases.grants.hand_out import HandOut
from shared.usecases.grants.probe_mailboxes import ProbeMailboxes
from shared.usecases.grants.read_account import ReadAccount
from shared.usecases.grants.reconnect_account import ReconnectAccount
from shared.usecases.grants.refresh_grant import RefreshGrant
from shared.usecases.grants.refresh_on_demand import RefreshOnDemand
from shared.usecases.grants.remove_account import RemoveAccount
from shared.usecases.grants.tally import Tally


class GrantServices(CallerServices):
    """Built bit by bit, as the connections are."""

    @cached_property
    def tally(self) -> Tally:
        return Tally(self.counters)

    @cached_property
    def find(self) -> FindAccount:
        return FindAccount(self.directory, self.principals)

    @cached_property
    def read_account(self) -> ReadAccount:
        return ReadAccount(self.principals, self.apps, self.find)

    @cached_property
    def change_account(self) -> ChangeAccount:
        return ChangeAccount(self.principals, self.find, self.tally, self.entropy)

    @cached_property
    def remove_account(self) -> RemoveAccount:
        return RemoveAccount(
            self.principals,
            self.directory,
            self.registrations,
            self.find,
            self.outbox,
            self.tally,
            self.clock,
            self.entropy,
        )

    @cached_property
    def refresh_grant(self) -> RefreshGrant:
        return RefreshGrant(
            self.principals, self.agenda, self.entra, self.apps, self.outbox, self.tally, self.clock, self.jitter
        )

    @cached_property
    def refresh_on_demand(self) -> RefreshOnDemand:
        return RefreshOnDemand(self.principals, self.refresh_grant, self.clock)

    @cached_property
    def probe_mailboxes(self) -> ProbeMailboxes:
        return ProbeMailboxes(
            self.principals,
            self.agenda,
            self.apps,
            self.probes,
            self.outbox,
            self.tally,
            self.clock,
            self.entropy,
            self.jitter,
        )

    @cached_property
    def hand_out(self) -> HandOut:
        return HandOut(
            self.principals,
            self.agenda,
            self.apps,
            self.find,
            self.refresh_grant,
            self.tally,
            self.clock,
            self.jitter,
        )

    @cached_property
    def answer_challenge(self) -> AnswerChallenge:
        return AnswerChallenge(self.hand_out, self.refresh_on_demand, self.clock)

    @cached_property
    def reconnect_account(self) -> ReconnectAccount:
        return ReconnectAccount(self.principals, self.find, self.refresh_on_demand, self.probe_mailboxes)
