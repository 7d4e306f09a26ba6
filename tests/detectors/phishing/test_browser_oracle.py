"""The text of HTML mail against what Chromium renders: scripts off, network off."""

import re
from collections.abc import Callable, Iterator
from shutil import which

import pytest

from detectors.phishing.css_forms import HIDING, SHOWING
from tocsin.detectors.phishing.charsets import clean, strip_zero_width
from tocsin.detectors.phishing.headers import split_head
from tocsin.detectors.phishing.html import Page, read_html
from tocsin.detectors.phishing.mail import BUDGET
from tocsin.detectors.phishing.mime import Meter, walk

Render = Callable[[str], str]
WORD = re.compile(r"\w\w+")
PAGES = [
    "<p>one<p>two<div hidden>ham</div>three",
    "<style>.x{display:none}</style><table><tr><td>one<td class=x>ham<td>two</table>",
    "one<br>two<!-- ham --><span style='visibility:hidden'>ham<b style='visibility:visible'>three</b></span>",
    "<ul><li>one<li>two</ul><template>ham</template><script>ham</script><select><option>three</select>",
    "<font color=white><p><font color=black>one</font></p><p><font color=black>two</font></p></font>",
    "<title>ham</title>one &amp; two&nbsp;three &#x66;our &lt;five",
    "<a href='x'>one<table><tr><td>two</a>three</table></div></p>four",
    "one<!-->two<!--->three<!x>four<?php ham ?>five</>six",
    "one<!----!>two<!--!>ham--!>three<!-- ham --!>four<!-->five",
    "one</p>two</br>three<p/>four<b/>five<div/>six",
    "pass</div>word</td> pass</b>word</h1></li> pass<p style='display:none'>ham</p>word pass<i hidden>ham</i>word",
    "<div>one<b>two</div>three</b>four</p>five<fieldset><legend>six</legend>seven</fieldset>",
    "<object>one</object><audio>ham</audio><video>ham</video><iframe>ham</iframe><noembed>ham</noembed>two",
    "one<input value=ham><button>two</button><img alt=ham><select><optgroup label=ham><option>three</select>",
    "<a title='>ham' href=\"x>ham\">one</a><b class=a>two</b ham>three<i x='ham",
    "<p style='display:none'>ham<p>one<div style='display:none'><p>ham</div>two</div>three",
    "<table><tr style='display:none'><td>ham<tr><td>one</table><div hidden><table><td>ham</div></table></div>two",
    "<textarea style='display:none'>ham</textarea><noscript>one</noscript><p style='DISPLAY:none!important'>ham</p>two",
]


def words(text: str) -> set[str]:
    return set(WORD.findall(strip_zero_width(clean(text))[0].casefold()))


@pytest.fixture(scope="module")
def render() -> Iterator[Render]:
    from playwright.sync_api import sync_playwright

    program = which("chromium")
    assert program is not None
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_context(java_script_enabled=False, offline=True).new_page()
        page.route("**/*", lambda route: route.abort())

        def text(markup: str) -> str:
            page.set_content(markup, wait_until="domcontentloaded", timeout=30_000)
            return page.inner_text("body", timeout=10_000)

        yield text
        page.unroute_all(behavior="ignoreErrors")
        browser.close()


@pytest.mark.browser
@pytest.mark.parametrize("markup", PAGES)
def test_what_a_browser_renders_is_shown_and_nothing_else(markup: str, render: Render) -> None:
    rendered = render(markup)
    assert words(rendered)
    assert words(read_html(markup, 1000).shown) == words(rendered)


@pytest.mark.browser
@pytest.mark.parametrize("markup", [*HIDING, *SHOWING])
def test_the_browser_reads_styles_as_the_forms_say(markup: str, render: Render) -> None:
    assert words(render(markup)) == ({"seen"} if markup in HIDING else {"seen", "ham"})


@pytest.mark.browser
def test_white_on_white_is_rendered_and_not_seen(render: Render) -> None:
    """The browser's text has what a colour hides: there the two must differ, or we hide nothing."""
    markup = "one<p style='color:#fff'>ham</p>"
    assert words(render(markup)) - words(read_html(markup, 1000).shown) == {"ham"}


@pytest.mark.browser
@pytest.mark.release
@pytest.mark.timeout(1800)
def test_real_mail_reads_as_the_browser_renders_it(
    render: Render, real_mail: list[tuple[str, bytes]]
) -> None:
    """No word of 282 documents is lost; only a textarea's, which `innerText` leaves out, are more."""
    lost, more, documents = {}, {}, 0
    for name, markup in pages(real_mail):
        page: Page = read_html(markup, BUDGET.text)
        rendered, shown = words(render(markup)), words(page.shown)
        documents += 1
        if missing := rendered - shown - words(page.hidden):
            lost[name] = missing
        if (extra := shown - rendered) and "<textarea" not in markup.lower():
            more[name] = extra
    assert documents > 250
    assert (lost, more) == ({}, {})


def pages(mails: list[tuple[str, bytes]]) -> Iterator[tuple[str, str]]:
    for name, raw in mails:
        head, body, _ = split_head(raw, BUDGET.head)
        leaves = walk(head, body, Meter(BUDGET)).shown
        yield from ((name, leaf.text) for leaf in leaves if leaf.kind == "html")
