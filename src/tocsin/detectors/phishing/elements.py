"""What HTML's elements are to somebody who only wants to read the text.

Source: HTML Living Standard, sections 13.1.2 (void and raw text elements) and 15.3 (how they are rendered).
"""

VOID = frozenset((
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr",
))  # fmt: skip
BLOCK = frozenset((
    "address", "article", "aside", "blockquote", "body", "br", "caption", "center", "dd", "details", "dialog",
    "dir", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4",
    "h5", "h6", "header", "hr", "legend", "li", "main", "menu", "nav", "ol", "option", "p", "pre", "section",
    "summary", "table", "tbody", "tfoot", "thead", "tr", "ul",
))  # fmt: skip
GAPS = dict.fromkeys(BLOCK, "\n") | {"td": " ", "th": " "}
"""Element -> what its beginning and its end keep words apart with."""
CLOSES = {name: frozenset(("p",)) for name in BLOCK - {"br", "body", "caption", "center", "legend"}} | {
    "a": frozenset(("a",)),
    "li": frozenset(("li", "p")),
    "option": frozenset(("option",)),
    **dict.fromkeys(("dd", "dt"), frozenset(("dd", "dt", "p"))),
    **dict.fromkeys(("td", "th"), frozenset(("td", "th", "p"))),
    "tr": frozenset(("tr", "td", "th", "p")),
}
"""Element -> the elements that it closes as long as one of them is the innermost."""
TEXT_COLOUR = {"font": "color", "body": "text"}
RAW = frozenset(("script", "style", "title", "textarea", "noembed", "noframes", "xmp", "iframe"))
NEVER_SHOWN = frozenset(("template", "audio", "video", "datalist"))
READ = frozenset(
    ("action", "background", "bgcolor", "class", "color", "hidden", "href", "id", "style", "text")
)
"""Attributes that are kept: a tag may have a million."""
