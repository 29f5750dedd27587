"""Sampling of refusals in the audit log."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from shared.domain.audit import MAX_SAMPLED_KINDS, Action, AuditOutcome, AuditRecord, AuditSampler

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HELD = AuditRecord(Action.OPEN_LINK, AuditOutcome.REFUSED, "c", code="TooManyRequests")


def test_a_flood_of_refusals_is_sampled_with_a_count() -> None:
    sampling = AuditSampler()

    told = [sampling.sampled(HELD, NOW + timedelta(seconds=second / 10)) for second in range(201)]

    assert [None, 99, 99] == [record.left_out for record in told if record]


def test_a_flood_hides_no_other_refusal() -> None:
    sampling = AuditSampler()
    sampling.sampled(HELD, NOW)
    others = [
        replace(HELD, action=Action.FINISH_SIGN_IN),
        replace(HELD, actor="token:1"),
        replace(HELD, code="BodyTooLarge"),
        replace(HELD, code="Forbidden"),
        replace(HELD, code="Forbidden"),
    ]

    assert others == [sampling.sampled(record, NOW) for record in others]


def test_invented_actors_use_bounded_memory() -> None:
    sampling = AuditSampler()

    for number in range(2 * MAX_SAMPLED_KINDS):
        sampling.sampled(replace(HELD, actor=f"entra:{number}"), NOW)

    assert MAX_SAMPLED_KINDS == len(sampling._samples)  # noqa: SLF001 - the promise is about what is kept


def test_long_ids_are_truncated() -> None:
    long = replace(HELD, account="a" * 8000, target="t" * 8000, accounts=("b" * 8000, "c"))

    cut = long.truncated()

    assert ("a" * 256, "t" * 256, ("b" * 256, "c")) == (cut.account, cut.target, cut.accounts)
    assert HELD == HELD.truncated()
