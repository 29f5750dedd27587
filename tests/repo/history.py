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
SKIPPED = "infra/local/package-lock.json"  # npm's checksums, and nothing else that looks like a secret
# What looks like a secret and is none, each with its reason.
KNOWN = {
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==": "Azurite's own key, "
    "the same for everybody (learn.microsoft.com, Use the Azurite emulator)",
    "local-secret-of-contoso-mail": "an application's in the local tenant, which listens on this computer only",
    "local-secret-of-another-app": "as above",
    "local-secret-of-contoso-orders": "as above",
    "not-a-real-secret": "a setting of tests that never reach a tenant",
    "expired-secret": "what the local tenant is told to refuse",
    "wrong": "as above",
    "word": "the password of a redirectUrl that has to be refused for having one",
    "MAILBIND_OAUTH_CLIENT_SECRET is missing": "a message",
    "eyJ0eXAiOiJKV1QifQ.eyJhdWQiOiJ4In0.": "a token of no claims, which the tests' search for tokens has to find",
    "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM": "the code challenge of RFC 7636 appendix B",
    "0af7651916cd43dd8448eb211c80319c": "the trace id of W3C Trace Context section 3.2",
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
        if path != SKIPPED:
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
