"""What the reader of an HTML mail sees, and what the mail hides."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.phishing.css_forms import HIDING, SHOWING
from tocsin.detectors.phishing.html import MOST_LINKS, MOST_TAGS, Link, read_html
from tocsin.detectors.phishing.styles import Look, Sheet, colour, declarations, restyle

SHEET = (
    "<style>.off{display:none} #x{font-size:0} td.dark{background:#000}   .nav th{background:#111}</style>"
)


@pytest.mark.parametrize(
    "opening",
    [
        '<div style="display:none">',
        "<div style='DISPLAY : none !important'>",
        "<div style=display:none>",
        "<div hidden>",
        '<div style="visibility:hidden">',
        '<div style="font-size:0">',
        '<div style="font-size:0.5px;color:red">',
        '<div style="opacity:0">',
        '<div style="max-height:0;overflow:hidden">',
        '<div style="text-indent:-9999px">',
        '<div style="position:absolute;left:-5000px">',
        '<div style="color:#ffffff">',
        '<div style="color:#fefefe;background-color:#fff">',
        '<div style="color:rgb(255, 255, 255)">',
        '<div style="color:transparent">',
        '<div style="color:#fefefe01">',
        '<div style="color:#0000">',
        '<div style="color:rgba(0,0,0,0)">',
        '<div style="color:#fffd">',
        "<div bgcolor=black style='color:#010101'>",
        "<font color=white>",
        "<font color=ffffff>",
        f'{SHEET}<div class="big off">',
        f"{SHEET}<div id=x>",
        f"{SHEET}<td class=dark style='color:black'>",
        "<template>",
    ],
)
def test_what_cannot_be_read_is_hidden(opening: str) -> None:
    page = read_html(f"<html><body><p>seen</p>{opening}ham words", 1000)
    assert page.shown == "seen"
    assert page.hidden == "ham words"


@pytest.mark.parametrize(
    "opening",
    [
        "<div>",
        '<div style="display:block">',
        '<div style="font-size:0"><span style="font-size:14px">',
        '<div style="visibility:hidden"><b style="visibility:visible">',
        '<div style="background:#000;color:#fff">',
        '<div style="background:#000;color:#ffff">',
        '<div style="background:#000;color:#ffffffff">',
        '<div style="color:#fff;background:#000"><p style="background:rgba(255,255,255,0)">',
        '<div style="color:rgba(0,0,0,.5)">',
        '<table bgcolor="#000000"><tr><td style="color:white">',
        '<table bgcolor="44CC44"><tr><td style="color:white">',
        '<font color="white"><font color="teal">',
        '<td background="https://x.example/a.png" style="color:#fff">',
        '<div style="background:url(a.png);color:#fff">',
        '<div style="color:white"><a href="https://x.example">',
        "<p hidden>gone<p>",
        "<div style='display:none'>gone</div>",
        "<table><tr><td style='display:none'>gone<td>",
        "<style>@media (max-width:600px) { .m { display:none } }</style><div class=m>",
        f"{SHEET}<div class=dark style='color:white;background:navy'>",
        f"{SHEET}<table class=nav><th style='color:#fff'>",
        '<div style="height:0">',
        "<head><title>no</title><body>",
    ],
)
def test_what_can_be_read_is_shown(opening: str) -> None:
    page = read_html(f"{opening}words to read", 1000)
    assert page.shown.endswith("words to read")
    assert "words" not in page.hidden


@pytest.mark.parametrize("markup", HIDING)
def test_a_disguised_rule_hides(markup: str) -> None:
    page = read_html(markup, 1000)
    assert (page.shown, page.hidden) == ("seen", "ham")


@pytest.mark.parametrize("markup", SHOWING)
def test_what_only_looks_like_a_rule_hides_nothing(markup: str) -> None:
    page = read_html(markup, 1000)
    assert (page.shown.split(), page.hidden) == (["seen", "ham"], "")


def test_scripts_styles_and_comments_are_no_text() -> None:
    markup = "<script>if (a<b) x()</script><style>p{}</style><!-- <b>no</b> --><!DOCTYPE x><?pi ?>a<b>b</b>&amp;c &lt;"
    assert read_html(markup, 1000).shown == "ab&c <"


def test_zero_width_characters_are_taken_out_and_counted() -> None:
    page = read_html("pay\u200bpal &zwnj;&#8203;now \u06a9\u200c\u0645", 1000)
    assert page.shown == "paypal now \u06a9\u200c\u0645"  # the joiner of Persian is spelling
    assert page.zero_width == 3


def test_links_are_kept_with_the_text_they_are_shown_under() -> None:
    markup = '<a href="https://evil.example/a?b&amp;c"><b>www.bank</b><span>.example</span></a><a href=/x>y<a href=z>t'
    assert read_html(markup, 1000).links == (
        Link("www.bank.example", "https://evil.example/a?b&c"),
        Link("y", "/x"),
        Link("t", "z"),
    )
    assert read_html("<form action='//f.example'>", 9).links == (Link("", "//f.example"),)


def test_a_link_text_that_is_hidden_is_not_its_text() -> None:
    assert read_html("<a href=u>go<i style='display:none'>od.example</i>", 99).links == (Link("go", "u"),)


@pytest.mark.parametrize("start", ["<!--", "<a href='", "<script>", "<div ", "<!x", "<title>"])
def test_an_unclosed_construct_takes_the_rest_and_says_so(start: str) -> None:
    page = read_html(f"seen{start} unseen", 1000)
    assert page.shown == "seen"
    assert "unclosed" in page.problems[0]


ENDLESS = {
    "tags": "<b>",
    "tags with text": "<p>a",
    "unclosed quotes": '<a x="',
    "odd quotes": "<a x=\"'>",
    "opening comments": "<!--",
    "comments": "<!---->",
    "attributes": "<a " + "b=c " * 50,
    "entities": "&amp",
    "ampersands": "&" * 50,
    "less than": "<",
    "styles": "<p style='a:b;color:red'>",
    "rules": "<style>a{b:c}</style>",
    "closing tags": "</x>",
    "links": "<a href=x>y</a>",
    "white space": " \n",
    "css": "<style>" + "{" * 50,
    "brackets": "<p style='x:" + "(" * 900 + "'>",
    "quotes in css": "<style>" + "'\\\n\"" * 50,
    "comments in css": "<style>" + "/**/*" * 50,
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_an_endless_document_costs_no_more_than_a_long_one(kind: str) -> None:
    """Four times the length costs nowhere near sixteen times the time, which rereading would."""
    piece = ENDLESS[kind]

    def cost(characters: int) -> float:
        markup = piece * (characters // len(piece))
        start = time.process_time()
        page = read_html(markup, 100_000)
        took = time.process_time() - start
        assert len(page.shown) + len(page.hidden) <= 110_000 + MOST_TAGS
        assert len(page.links) <= MOST_LINKS
        return took

    assert cost(1 << 20) < max(8 * min(cost(1 << 18), cost(1 << 18)), 0.4)


def test_a_late_clock_ends_the_reading() -> None:
    page = read_html("<p>word" * 5000, 100_000, lambda: True)
    assert "HTML cut after 256 tags" in page.problems[0]
    assert page.shown.count("word") == 255


@pytest.mark.parametrize(
    ("markup", "shown", "hidden"),
    [
        (
            "<font color=white><p><font color=black>one</font></p><p><font color=black>two</font>",
            "one\ntwo",
            "",
        ),
        ("<p style='color:white'>one</p>seen<p style='color:white'>two</p>", "seen", "one\ntwo"),
        ("one<font color=white> <font color=black>two", "one two", ""),
        ("pass<font style='font-size:0'> x </font>word", "password", "x"),
        ("pass<i style='display:none'> </i>word", "password", ""),
    ],
)
def test_what_takes_room_keeps_words_apart(markup: str, shown: str, hidden: str) -> None:
    page = read_html(markup, 1000)
    assert (page.shown, page.hidden) == (shown, hidden)


def test_a_number_too_long_for_python_is_no_character() -> None:
    assert (
        read_html("a&#" + "9" * 5000 + ";b&#x" + "f" * 5000 + ";c&#65;", 20_000).shown == "a\ufffdb\ufffdcA"
    )


@given(st.text(alphabet="<>/!-='\"& abpdivstyle:none;#0\u200b\x00\ud800\n", max_size=300))
def test_any_text_is_read(markup: str) -> None:
    page = read_html(markup, 200)
    assert len(page.shown) + len(page.hidden) <= 200
    (page.shown + page.hidden).encode()
    assert all(c.isprintable() or c == "\n" for c in page.shown if ord(c) < 0x80)


@given(
    st.lists(
        st.sampled_from(["<div>", "</div>", "<p>", "<b>", "</b>", "<table>", "<td>", "</a>", "w "]),
        max_size=60,
    )
)
def test_without_hiding_all_words_are_shown(pieces: list[str]) -> None:
    page = read_html("".join(pieces), 1000)
    assert page.shown.split() == ["w"] * pieces.count("w ")
    assert not page.hidden


@pytest.mark.parametrize(
    ("text", "found"),
    [("#FFF".lower(), (255, 255, 255)), ("#0a0b0c", (10, 11, 12)), ("rgba(1,2,3,.5)", (1, 2, 3)), ("white", (255,) * 3),
     ("url(x) no-repeat", None), ("", None), ("rgb(999,0,0)", (255, 0, 0))],
)  # fmt: skip
def test_colours(text: str, found: object) -> None:
    assert colour(text) == found


def test_only_what_is_read_of_a_style_is_kept() -> None:
    """What is kept for the next mail is small, whatever was in the last one."""
    assert declarations("a:b;" * 100 + "color:red") == {"color": "red"}
    assert declarations("color:red;" + "x" * 100_000) is declarations("color:red;" + "x" * 200_000)


def test_a_sheet_keeps_to_its_budget() -> None:
    sheet = Sheet()
    sheet.add("".join(f".c{i}{{display:none}}" for i in range(10_000)))
    assert len(sheet.rules) <= 2_000
    assert restyle(Look(), sheet.style("p", {"class": "c1"})).gone
    assert declarations("color:b; TOP : d !important ;left;a:b") == {"color": "b", "top": "d"}
