"""The examples of a page: what it has the reader type, and what it says that the answer is."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.local.parts import ROOT

FENCE = re.compile(r"(?ms)^```(\w*)\n(.*?)^```\n")


@dataclass(frozen=True)
class Example:
    """Commands, and the last answer as the page shows it in the JSON right below, None without it."""

    where: str
    commands: str
    shown: Any = None

    @property
    def status(self) -> int | None:
        """The status of the last answer, if the page says that it is a refusal."""
        return self.shown.get("statusCode") if self.shown else None


def examples(page: Path, text: str | None = None) -> list[Example]:
    """The examples that call curl, in order. `text` is a part of the page."""
    whole = page.read_text()
    fences = [*FENCE.finditer(text or whole)]
    answers = {fence.start(): fence[2] for fence in fences if fence[1] == "json"}
    found = []
    for fence in fences:
        if fence[1] or not re.search(r"\bcurl ", fence[2]):
            continue
        line = whole[: whole.index(fence[2])].count("\n") + 1
        answer = answers.get(fence.end())
        found.append(Example(f"{page.relative_to(ROOT)}:{line}", fence[2], json.loads(answer) if answer else None))
    return found


def text_outside_fences(page: Path) -> str:
    return FENCE.sub("", page.read_text())


def field_names(shown: Any) -> Any:
    """What is shown without its values: every one of them is left open."""
    if isinstance(shown, dict):
        return {name: field_names(value) for name, value in shown.items()}
    return ...


def resembles(shown: Any, answer: Any) -> bool:
    """Whether an answer has what is shown of it. In texts, an ellipsis stands for anything."""
    match shown:
        case dict():
            return isinstance(answer, dict) and all(
                name in answer and resembles(value, answer[name]) for name, value in shown.items()
            )
        case list():
            return isinstance(answer, list) and len(shown) == len(answer) and all(map(resembles, shown, answer))
        case str():
            pattern = ".*".join(map(re.escape, shown.split("…")))
            return isinstance(answer, str) and re.fullmatch(pattern, answer) is not None
    return shown is ... or bool(shown == answer)
