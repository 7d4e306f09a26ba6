"""Which language a text is in, where nobody says so: to report by, never to filter by, never a feature."""

UNKNOWN = "und"
LEAST = 12
"""Letters below which nothing is said; of a word or two the library gives some language all the same."""
READ = 1_000
"""Characters that are looked at."""


def identify(text: str) -> str:
    """Return the code of the likeliest language, such as `en` or `sw`; `und` for a few letters or none.

    Of fewer than 60 letters a guess is often wrong, most of all between languages of one family.
    """
    text = text[:READ]
    if sum(map(str.isalpha, text)) < LEAST and text.isascii():
        return UNKNOWN
    from py3langid import classify  # its model takes seconds to load: only where it is asked

    language: str = classify(text)[0]
    return UNKNOWN if language == "zxx" else language
