"""Where links and addresses lead, and whether that is where they say they lead. Nothing is looked up."""

import re
from functools import lru_cache

from publicsuffixlist import PublicSuffixList

FILES = frozenset((
    "asp", "aspx", "bat", "csv", "doc", "docx", "exe", "gif", "htm", "html", "jpeg", "jpg", "js",
    "json", "jsp", "md", "mp3", "mp4", "pdf", "php", "png", "ppt", "pptx", "py", "rar", "rtf", "sh",
    "txt", "wav", "xls", "xlsx", "xml", "zip",
))  # fmt: skip
"""Endings that look like a top-level domain and are mostly those of files."""
ENDINGS = frozenset((
    "academy", "agency", "app", "art", "asia", "bank", "berlin", "best", "bio", "biz", "blog", "bond",
    "business", "buzz", "capital", "card", "cards", "care", "cash", "cat", "center", "chat", "city",
    "claims", "click", "cloud", "club", "codes", "com", "community", "company", "consulting", "coop",
    "credit", "cyou", "design", "dev", "digital", "direct", "domains", "edu", "education", "email",
    "energy", "estate", "eus", "events", "example", "exchange", "expert", "express", "family", "finance",
    "financial", "foundation", "fun", "fund", "games", "global", "gov", "group", "guru", "health", "help",
    "homes", "host", "hosting", "house", "icu", "inc", "info", "int", "international", "invalid",
    "investments", "jobs", "land", "law", "legal", "life", "link", "live", "llc", "loan", "loans",
    "london", "ltd", "luxury", "management", "market", "marketing", "media", "mil", "mobi", "money",
    "monster", "museum", "name", "net", "network", "news", "ninja", "nyc", "one", "online", "ooo", "org",
    "page", "partners", "pay", "pics", "plus", "porn", "press", "pro", "promo", "quest", "rest",
    "rewards", "rocks", "run", "sale", "sbs", "school", "science", "services", "sex", "shop", "site",
    "social", "software", "solar", "solutions", "space", "store", "stream", "studio", "support",
    "systems", "tax", "team", "tech", "tel", "test", "tips", "today", "tokyo", "tools", "top", "trade",
    "training", "travel", "university", "vip", "wang", "watch", "website", "wiki", "win", "work", "works",
    "world", "wtf", "xxx", "xyz", "zone",
))  # fmt: skip
"""Generic endings that a reader knows for those of a domain, beside all of two letters: not `Mr.Michael`."""

URL = re.compile(r"\b(?:https?://|www\.)[^\s<>\"'()\[\]{}|^`]{1,2000}", re.IGNORECASE)
_HOST = re.compile(
    r"(?:[a-z][a-z0-9+.-]{0,30}:)?[/\\]{2,}(?:[^/\\?#]*@)?(\[[^\]]{1,60}\]|[^/\\?#:]{1,255})", re.IGNORECASE
)
_ADDRESS = re.compile(r"[0-9.]+")
_LOOKS_LIKE = re.compile(
    r"(?:https?://)?(?:[^/\s@]{1,60}@)?((?:[\w-]{1,63}\.)+([a-z]{2,24}|xn--[\w-]{2,59}))(?::\d{1,5})?(?:[/?#]\S*)?",
    re.IGNORECASE,
)


def host_of(url: str) -> str | None:
    """Return the host of a URL as a browser reads it (backslashes are slashes), or None."""
    text = url.strip()[:2100]
    if text[:4].lower() == "www.":
        text = "//" + text
    found = _HOST.match(text)
    return found[1].lower().rstrip(".") or None if found else None


def named_host(text: str) -> str | None:
    """Return the host that a reader takes a text for: a URL or a bare domain and nothing else; None otherwise."""
    found = _LOOKS_LIKE.fullmatch(text.strip()[:500])
    if found is None or not ("//" in text or _is_ending(found[2].lower())):
        return None
    return found[1].lower()


def _is_ending(label: str) -> bool:
    """Tell whether a reader takes words that end so for a domain."""
    return label not in FILES and (len(label) == 2 or label in ENDINGS or label.startswith("xn--"))


def is_same_site(one: str, other: str) -> bool:
    """Tell whether two hosts are names of one registered domain.

    `a.github.io` and `b.github.io` are two sites: strangers may register names under `github.io`.
    Source: the Public Suffix List, as publicsuffixlist brings it; it is read from the package and never fetched.
    """
    return _site(one) == _site(other)


def _site(host: str) -> str:
    name = host.lower().strip(".")
    if _ADDRESS.fullmatch(name):
        return name
    return _suffixes().privatesuffix(name) or name


@lru_cache(maxsize=1)
def _suffixes() -> PublicSuffixList:
    """Read the list at the first question: it takes 40 ms."""
    return PublicSuffixList()
