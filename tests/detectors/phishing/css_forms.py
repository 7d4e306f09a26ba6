"""Ways of writing `display: none`, and near misses: whether each hides is what Chromium said of it."""

HIDING_STYLES = (
    "display : none",
    "display:none ! important",
    "display:none! IMPORTANT",
    "dis\\70lay:none",
    "display:n\\6f ne",
    "display:/**/none",
    "display:none/**/",
    "/* x */display:none",
    "color:red;/* ; */display:none",
    "display:none!important;display:block",
    "background:url(data:image/png;base64,AA);display:none",
    "x:(a;b);display:none",
    "x{a:b};display:none",
    ";;display:none",
    "display:none;}",
)
SHOWING_STYLES = (
    "display:none;display:block",
    "display:none !ie",
    "display:none<!--",
    "display:no/**/ne",
    "display:'none'",
    "display:none x",
    "font-family:'a;display:none'",
    "background:url(data:a;display:none;b)",
    "x{display:none}",
    "{}display:none",
    "x:(;display:none",
    "x:(];display:none",
    "x:((a);display:none)",
    "/*display:none",
)
HIDING_SHEETS = (
    "<!-- .h{display:none} -->",
    "@import 'x';.h{display:none}",
    "@font-face{font-family:x}.h{display:none}",
    "@x{{}}.h{display:none}",
    ".h{display:none",
    ".h{display:none!important}.h{display:block}",
    ".h{content:'}';display:none}",
    ".h{/*}*/display:none}",
    ".h{x:'{'}.h{display:none}",
    "/* .h{} */.h{display:none}",
    "/*/.h{}/**/.h{display:none}",
    ".\\68{display:none}",
)
SHOWING_SHEETS = (
    "@media print{.h{display:none}}",
    "}.h{display:none}",
    "x{}}.h{display:none}",
    ";.h{display:none}",
    "/*/.h{display:none}/**/",
    "x{content:'}.h{display:none}'}",
    "@media print{x{}.h{display:none}",
)


def styled(style: str) -> str:
    """Return a document with a word that `style` may hide."""
    return f'seen<p style="{style}">ham</p>'


def ruled(sheet: str) -> str:
    """Return a document with a word that `sheet` may hide."""
    return f"<style>{sheet}</style>seen<p class=h>ham</p>"


HIDING = (*map(styled, HIDING_STYLES), *map(ruled, HIDING_SHEETS))
SHOWING = (*map(styled, SHOWING_STYLES), *map(ruled, SHOWING_SHEETS))
