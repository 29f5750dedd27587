"""Looks for secrets in every version of every file that was ever committed: `python -m tests.repo.history`.

What was committed once stays readable for whoever has the repository, also after it was deleted.
"""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from subprocess import run

from detect_secrets.core.scan import scan_file
from detect_secrets.settings import default_settings

ROOT = Path(__file__).parents[2]
# npm's checksums, and bytes that were sent to Microsoft's host to measure it.
SKIPPED = {"infra/local/package-lock.json", "tests/local/functions_host/requests.json"}
# What looks like a secret and is none, each with its reason.
KNOWN = {
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==": "Azurite's own key, "
    "the same for everybody (learn.microsoft.com, Use the Azurite emulator)",
    "local-secret-of-contoso-mail": "an application's in the local tenant, which listens on this computer only",
    "local-secret-of-another-app": "as above",
    "local-secret-of-contoso-orders": "as above",
    "7f1c9a4e2b5d4c0e9b1f5a3d8c6e0b27": "the request-id of an example",
    "not-a-real-secret": "a setting of tests that never reach a tenant",
    "expired-secret": "what the local tenant is told to refuse",
    "wrong": "as above",
    "word": "the password of a redirectUrl that has to be refused for having one",
    "MAILBIND_OAUTH_CLIENT_SECRET is missing": "a message",
    "eyJ0eXAiOiJKV1QifQ.eyJhdWQiOiJ4In0.": "a token of no claims, which the tests' search for tokens has to find",
    "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM": "the code challenge of RFC 7636 appendix B",
    "0af7651916cd43dd8448eb211c80319c": "the trace id of W3C Trace Context section 3.2",
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw": "the example of the Standard Webhooks specification",
    "eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7InZhbHVlIjoiMTYwNDEwNjY1MSJ9fX0=": "a claims challenge in Microsoft's docs",
    "c2VjcmV0LW9mLXRoZS10ZXN0LXJlY2VpdmVyLTAwMQ==": "it says in base64 that it is the test receiver's",
    "local-secret-of-contoso-archive": "an application's in the local tenant, which listens on this computer only",
    # Examples of ids, and of secrets that nothing accepts.
    **dict.fromkeys(
        [
            "019abc02d1f07c3e5a9b1d40ee12",
            "5f1a0c3e9b7d42868d0c1e5f7392b8a64c20d9e7153fb68a9e41c07d2b5f836a",
            "0f4cbb21d6a84c1e9b7350e2af618c4d",
            "47de0b5c19a84f2e6d3370c1b8e5924fa0d6c87b31e92f54780cab16d5e3f029",
            *("whsec_…", "whsec_short", "whsec_", "short", "odd", "a-new-secret", "the new one", "a-newer-one"),
            *("soon-value", "not-the-secret", "not-yet-in-entra", "renewed", "pa%3Ass", "password", "ghs"),
        ],
        "an example",
    ),
    # What stands behind a name with "secret" in it.
    **dict.fromkeys(
        [
            *("2027-05-01T00:00:00.000Z", "2030-01-31T00:00:00.000Z", "oauthAppSecretExpiring", "secret"),
            "sealing` encrypts with the data keys of `open_data_keys`, which `key_wrapping",
            *("The credential does not end soon", "The credential does not expire soon", "what the request said"),
            "its secrets cannot be decrypted any more: set its URL again, or delete it",
            "its secrets do not open any more: give its URL again, or delete it",
            *("a date to warn of", "Microsoft made it"),
        ],
        "words and dates",
    ),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Where something looks like a secret. Its value is for comparing only."""

    path: str
    kind: str
    value: str


def blobs(repository: Path) -> Iterator[tuple[str, bytes]]:
    """Every version of every file that any branch or tag leads to, with the path that it had first."""
    listed = _git(repository, b"", "rev-list", "--objects", "--all").decode().splitlines()
    paths = dict(line.split(" ", 1) for line in reversed(listed) if " " in line)
    out = _git(repository, "\n".join(paths).encode(), "cat-file", "--batch")
    while out:
        # Each object comes as its name, type and size in one line, and its bytes in the next.
        head, _, out = out.partition(b"\n")
        name, kind, size = head.decode().split()
        if kind == "blob":
            yield paths[name], out[: int(size)]
        out = out[int(size) + 1 :]


def findings(repository: Path) -> tuple[int, set[Finding]]:
    """How many blobs there are, and what looks like a secret in any line that was ever in one of them."""
    count, lines = 0, dict[str, dict[str, None]]()
    for path, content in blobs(repository):
        if path not in SKIPPED:
            count += 1
            lines.setdefault(path, {}).update(dict.fromkeys(content.decode(errors="replace").splitlines()))
    # detect-secrets looks at files, and at their names.
    with tempfile.TemporaryDirectory() as folder, chdir(folder), default_settings():
        for path, seen in lines.items():
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_text("\n".join(seen))
        found = {Finding(path, one.type, one.secret_value or "") for path in lines for one in scan_file(path)}
    return count, found


def main() -> int:
    """Say what was found, never its value; the exit status is 1 when there is anything."""
    count, found = findings(ROOT)
    known = {*KNOWN, *KNOWN.values()}  # a reason stands behind a name with "secret" in it, as passwords do
    unknown = sorted((one.path, one.kind) for one in found if one.value not in known)
    print(f"{count} blobs, {len(found)} values that look like secrets, {len(unknown)} of them not known")
    for path, kind in unknown:
        print(f"  {path}: {kind}")
    return 1 if unknown else 0


def _git(repository: Path, told: bytes, *arguments: str) -> bytes:
    return run(["git", *arguments], check=True, cwd=repository, input=told, capture_output=True).stdout  # noqa: S603, S607 - git, with arguments of this file


if __name__ == "__main__":
    sys.exit(main())
