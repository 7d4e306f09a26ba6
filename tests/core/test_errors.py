import pytest

from tocsin.core.errors import (
    CheckFailed,
    InputError,
    Interrupted,
    TocsinError,
    TrainingCollapsed,
    did_you_mean,
)


def test_each_kind_of_end_has_its_own_exit_code():
    codes = [kind.exit_code for kind in (CheckFailed, InputError, TrainingCollapsed, Interrupted)]
    assert codes == [1, 2, 3, 4]
    assert all(
        issubclass(kind, TocsinError) for kind in (CheckFailed, InputError, TrainingCollapsed, Interrupted)
    )


@pytest.mark.parametrize(
    ("word", "hint"),
    [("widht", "; did you mean 'width'?"), ("zzz", ""), ("", ""), ("depth", "; did you mean 'depth'?")],
)
def test_the_nearest_word_is_named_or_none(word, hint):
    assert did_you_mean(word, ["width", "depth"]) == hint
