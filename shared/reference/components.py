"""What many operations have in common, said once: their responses and parameters as components."""

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

type Part = dict[str, Any]


class _Component(NamedTuple):
    name: str
    part: Part


def with_components(openapi: Part) -> Part:
    """The same description, with references to what occurs more than once (OpenAPI 3.1.1 section 4.8.23)."""
    operations = [operation for methods in openapi["paths"].values() for operation in methods.values()]
    responses = _repeated(
        [_Component(_response_name(status), part) for each in operations for status, part in each["responses"].items()]
    )
    parameters = _repeated(
        [_Component(part["name"].strip("$"), part) for each in operations for part in each["parameters"]]
    )
    kinds = {"responses": responses, "parameters": parameters}
    shared = {kind: {each.name: each.part for each in components.values()} for kind, components in kinds.items()}
    refer = {kind: _reference(kind, components) for kind, components in kinds.items()}
    paths = {
        path: {method: _with_references(operation, **refer) for method, operation in methods.items()}
        for path, methods in openapi["paths"].items()
    }
    return {**openapi, "paths": paths, "components": openapi["components"] | shared}


def _repeated(components: Sequence[_Component]) -> dict[str, _Component]:
    """Those that occur more than once, by their JSON. Different ones of one name are numbered."""
    occurrences, numbers = Counter(json.dumps(each.part) for each in components), Counter[str]()
    repeated: dict[str, _Component] = {}
    for name, part in components:
        text = json.dumps(part)
        if occurrences[text] > 1 and text not in repeated:
            numbers[name] += 1
            repeated[text] = _Component(name if numbers[name] == 1 else f"{name}{numbers[name]}", part)
    return repeated


def _response_name(status: str) -> str:
    return re.sub(r"\W", "", HTTPStatus(int(status)).phrase) if status.isdigit() else status.capitalize()


def _reference(kind: str, components: dict[str, _Component]) -> Callable[[Part], Part]:
    def refer(part: Part) -> Part:
        component = components.get(json.dumps(part))
        return {"$ref": f"#/components/{kind}/{component.name}"} if component else part

    return refer


def _with_references(operation: Part, responses: Callable[[Part], Part], parameters: Callable[[Part], Part]) -> Part:
    return {
        **operation,
        "parameters": [parameters(part) for part in operation["parameters"]],
        "responses": {status: responses(part) for status, part in operation["responses"].items()},
    }
