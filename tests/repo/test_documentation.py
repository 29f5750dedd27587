"""The pages of the documentation: their links lead somewhere, and their lists are complete."""

import re
from pathlib import Path

from shared.domain.account import AccountState
from shared.domain.confined.paths import match_path
from shared.domain.event import EventName
from shared.domain.remedy import Reader, remedies
from tests.app_routes import operations
from tests.repo import confined
from tests.repo.codes import rows
from tests.repo.test_house import committed

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("infra/connector/**/*.md")]
PICTURES = {str(file.relative_to(ROOT)) for file in ROOT.glob("docs/pictures/*.png")}
LINK = re.compile(r"\]\((?!https?://|mailto:)([^)\s#]*)(?:#([^)\s]*))?\)")
FENCED = re.compile(r"(?ms)^```.*?^```")
OUTSIDE = re.compile(r"\bDESIGN\b|(?<!RFC \d{4} )§|\breference/[\w-]+\.md|\bproject's (\w+ )?notes\b")
FILE = re.compile(r"`((?:shared|infra|tests|docs)/[\w./*-]+|test_\w+\.py)`")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"(?m)^#+ (.*)", FENCED.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def lost(page: Path) -> list[str]:
    """Links of a page to files or headings that are not there."""
    found = LINK.findall(FENCED.sub("", page.read_text()))
    targets = [(f"{name}#{anchor}", page.parent / name if name else page, anchor) for name, anchor in found]
    return [
        f"{page.relative_to(ROOT)}: {link}"
        for link, target, anchor in targets
        if not target.exists() or (anchor and anchor not in anchors(target))
    ]


def test_every_link_leads_to_a_page_and_a_heading_that_exist() -> None:
    assert len(PAGES) > 10
    assert [] == [link for page in PAGES for link in lost(page)]


def test_every_file_that_a_page_names_exists() -> None:
    named = {(page, name) for page in PAGES for name in FILE.findall(page.read_text())}

    assert len(named) > 50
    assert [] == [f"{page.relative_to(ROOT)}: {name}" for page, name in named if not any(ROOT.glob(_anywhere(name)))]


def _anywhere(name: str) -> str:
    return name.rstrip("/") if "/" in name else f"tests/**/{name}"


def test_no_file_cites_a_document_that_is_not_here() -> None:
    """Public standards and vendor pages excepted."""
    others = [name for name in committed() if name not in {"tests/repo/test_documentation.py", *PICTURES}]

    assert [] == [name for name in others if OUTSIDE.search((ROOT / name).read_text(errors="replace"))]


def test_the_front_door_leads_to_every_page() -> None:
    door = (ROOT / "README.md").read_text()

    assert [] == [page.name for page in ROOT.glob("docs/*.md") if f"(docs/{page.name})" not in door]


def test_the_front_door_is_read_in_five_minutes() -> None:
    """About 250 words a minute."""
    assert len(FENCED.sub("", (ROOT / "README.md").read_text()).split()) <= 1250


def test_the_api_page_lists_every_route_for_callers() -> None:
    table = (ROOT / "docs/api.md").read_text().partition("| route |")[2].partition("\n\n")[0]
    listed = [
        f"{method} {path[1:]}"
        for cell in re.findall(r"(?m)^\| (`.+?`) \|", table)
        for methods, path in re.findall(r"`([A-Z, ]+) (/\S+)`", cell)
        for method in methods.split(", ")
    ]

    browser = {"GET ", "GET accounts/new", "POST accounts/new", "GET oauth", "POST oauth"}
    assert sorted({*operations()} - browser) == sorted(listed)


def test_every_call_in_api_http_is_a_route() -> None:
    calls = re.findall(r"(?m)^([A-Z]+) {{base}}/([^?\n]*)", (ROOT / "api.http").read_text())
    routes = [re.sub(r"{\w+}", "[^/]+", operation) for operation in operations()]
    mail = [(method, re.sub("{{.*?}}", "id", path)) for method, path in calls if path.startswith("v1.0/")]
    others = [call for call in calls if not call[1].startswith("v1.0/")]

    assert len(others) > 20
    assert [] == [call for call in others if not any(re.fullmatch(route, " ".join(call)) for route in routes)]
    assert ["messages.list", "draft.create", "draft.send"] == [
        match_path(method, path.removeprefix("v1.0/")).operation.name for method, path in mail
    ]


def test_confined_access_page_has_what_the_code_says() -> None:
    """`python -m tests.repo.confined` writes it."""
    page = confined.PAGE.read_text()

    assert confined.written(page) == page
    assert sorted(confined.BLOCKS) == sorted(name for _, name, _ in confined.BLOCK.findall(page))


def test_the_events_page_lists_every_event() -> None:
    table = (ROOT / "docs/events.md").read_text().partition("| event |")[2].partition("\n\n")[0]
    listed = re.findall(r"(?m)^\| (`.+?`) \|", table)

    assert sorted(EventName) == sorted(re.findall(r"`(\w+)`", " ".join(listed)))


def test_the_storage_page_lists_every_table() -> None:
    page = (ROOT / "docs/storage.md").read_text()
    tables = set(re.findall(r'\b(?:table|Table)\("(\w+)"', (ROOT / "shared/assembly.py").read_text()))

    assert sorted(tables) == sorted(re.findall(r"`(\w+)`", " ".join(re.findall(r"(?m)^\| (`.+?`) \|", page))))


def test_operators_read_of_every_state_code_and_alert() -> None:
    page = (ROOT / "docs/operations.md").read_text()
    alerts = re.findall(r"(?m)^ {4}title: '(.+)'", (ROOT / "infra/monitoring/alerts.bicep").read_text())

    assert [] == [word for word in [*AccountState, *remedies(Reader.PERSON)] if f"`{word}`" not in page]
    assert [] == [title for title in alerts if f"| {title} |" not in page]
    assert alerts
    # `python -m tests.repo.codes` prints the table.
    assert "\n".join(rows()) in page
