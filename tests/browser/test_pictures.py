"""The pictures of README.md show pages that still exist."""

import struct
from collections.abc import Callable
from pathlib import Path

import httpx
from playwright.async_api import Browser

from tests.browser.pictures import FOLDER, REDIRECT_URL, draw
from tests.journey.conftest import ask

type NewPerson = Callable[..., str]


async def test_pictures_can_be_drawn_again(
    browser: Browser, api: httpx.Client, person: NewPerson, tmp_path: Path
) -> None:
    """If this fails because a page changed, `make pictures` draws them again."""
    asked = ask(api, redirectUrl=REDIRECT_URL)

    await draw(browser, asked["url"], person(), tmp_path)

    assert sizes(FOLDER) == sizes(tmp_path)
    api.delete(f"/v1/account/{asked['account']}")


def sizes(folder: Path) -> dict[str, tuple[int, int]]:
    """Width and height in pixels of each picture in the folder (PNG specification section 11.2.1, IHDR)."""
    return {file.name: struct.unpack(">II", file.read_bytes()[16:24]) for file in folder.iterdir()}
