"""HTML of mail made simple enough to be parsed in a time that grows with its length.

Parsers of HTML take time that grows with the square of the depth, and of the attributes of elements that are not
closed: 256 KiB take html5ever, which nh3 uses, up to 45 seconds. What is left here decides nothing about safety; that
is for whoever parses the result.
"""

import re
from collections import Counter
from collections.abc import Iterator

# Nothing is read twice: a tag ends before the next `<`, and what has no end consumes the rest.
TOKEN = re.compile(
    r"<!--.*?(?:-->|\Z)"  # comments, also those for Outlook
    r"|<(?P<dropped>script|style|title|textarea|template|svg|math|xmp|iframe|noembed|noframes|object)\b.*?"
    r"(?:</(?P=dropped)\s*>|\Z)"
    r"|<[!?][^<>]*+>"
    r"|<(?P<close>/?)(?P<name>[a-z][a-z0-9]{0,15})(?=[\s/>])(?P<attributes>(?:[^\"'<>]++|\"[^\"<]*+\"|'[^'<]*+')*+)>"
    r"|</?[a-z][^<>]*+\Z",  # a tag that was cut off
    re.IGNORECASE | re.DOTALL,
)
ATTRIBUTE = re.compile(r"([a-z-]{1,16})\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)'|([^\s\"'=]++))", re.IGNORECASE)
MAX_DEPTH = 100
VOID = frozenset({"br", "hr", "img", "col", "wbr"})
# An element that ends the one before it, so that many of them are no depth (HTML: "optional tags").
SELF_ENDING = frozenset(
    {"p", "li", "dd", "dt", "tr", "td", "th", "thead", "tbody", "tfoot", "colgroup", "caption", *VOID}
)
TAGS = SELF_ENDING | {
    "a", "abbr", "b", "bdi", "bdo", "big", "blockquote", "center", "cite", "code", "del", "dfn", "div", "dl", "em",
    "font", "h1", "h2", "h3", "h4", "h5", "h6", "i", "ins", "kbd", "mark", "ol", "pre", "q", "s", "samp", "small",
    "span", "strike", "strong", "sub", "sup", "table", "tt", "u", "ul", "var",
}  # fmt: skip
# No style of an element hides it, or gives it the color of what is behind it.
ATTRIBUTES = {
    "*": frozenset({"align", "dir", "lang", "style", "title", "valign"}),
    "a": frozenset({"href"}),
    "img": frozenset({"alt", "height", "src", "width"}),
    "ol": frozenset({"start", "type"}),
    "table": frozenset({"border", "cellpadding", "cellspacing", "width"}),
    "td": frozenset({"colspan", "rowspan", "width"}),
    "th": frozenset({"colspan", "rowspan", "width"}),
}
STYLED = frozenset({"blockquote", "div", "li", "p", "span", "table", "td", "th", "tr"})


def simplified(html: str) -> str:
    """The HTML with known elements and attributes only, at most 100 deep. What is in left out elements stays."""
    return "".join(_pieces(html))


def _pieces(html: str) -> Iterator[str]:
    opened, depth, place = Counter[str](), 0, 0
    for token in TOKEN.finditer(html):
        yield html[place : token.start()].replace("<", "&lt;")
        place = token.end()
        name = (token["name"] or "").lower()
        if name not in TAGS:
            continue
        counts = name not in SELF_ENDING
        if token["close"]:
            if opened[name]:
                opened[name] -= 1
                depth -= counts
                yield f"</{name}>"
        elif not counts or depth < MAX_DEPTH:
            opened[name] += name not in VOID
            depth += counts
            yield f"<{name}{''.join(_attributes(name, token['attributes']))}>"
    yield html[place:].replace("<", "&lt;")


def _attributes(name: str, text: str) -> Iterator[str]:
    allowed = ATTRIBUTES["*"] | ATTRIBUTES.get(name, frozenset())
    # A formatting element is repeated in each paragraph until it is closed, and compared with the others each time.
    known = allowed if name in STYLED or name in ATTRIBUTES else frozenset[str]()
    for key, *values in ATTRIBUTE.findall(text):
        if key.lower() in known and (key.lower() != "style" or name in STYLED):
            value = "".join(values).replace('"', "&quot;")
            yield f' {key.lower()}="{value}"'
