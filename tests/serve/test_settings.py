import pytest
from pydantic import ValidationError

from tocsin.core.errors import InputError
from tocsin.serve.settings import Settings, read_settings


def test_listens_on_loopback_and_asks_for_no_token() -> None:
    settings = Settings()
    assert (settings.host, settings.port, settings.workers, settings.tokens) == ("127.0.0.1", 8000, 1, ())


def test_every_setting_is_described_and_can_be_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "host": "::1", "port": "9", "workers": "2", "threads": "3", "max_body_bytes": "2000", "max_batch": "4",
        "max_explained": "5", "queue": "6", "body_timeout": "7.5", "inference_timeout": "8", "heartbeat_timeout": "9",
        "max_answers": "12", "max_tokens": "13",
        "drain_delay": "0", "drain_timeout": "11", "tokens": "a-token-of-16-char, another-token-of-it",
        "log_level": "error", "request_log": "/dev/null", "require_signature": "true", "public_key": "key.pem",
    }  # fmt: skip
    assert set(given) == set(Settings.model_fields)
    assert all(field.description for field in Settings.model_fields.values())
    for name, value in given.items():
        monkeypatch.setenv(f"TOCSIN_{name.upper()}", value)
    found, default = Settings().model_dump(), Settings.model_construct().model_dump()
    assert not [name for name in given if found[name] == default.get(name)]


def test_tokens_are_separated_by_commas_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_TOKENS", "first-secret-token, second-secret-token,")
    settings = Settings()
    assert [t.get_secret_value() for t in settings.tokens] == ["first-secret-token", "second-secret-token"]
    assert "secret-token" not in repr(settings)


@pytest.mark.parametrize(
    "given", [{"port": 70000}, {"queue": 0}, {"tokens": "short"}, {"unknown": 1}, {"log_level": "loud"}]
)
def test_a_setting_that_makes_no_sense_is_refused(given: dict) -> None:
    with pytest.raises(ValidationError):
        Settings(**given)


def test_a_setting_that_makes_no_sense_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_settings({"port": 1234}).port == 1234
    with pytest.raises(InputError, match=r"^port: Input should be less"):
        read_settings({"port": 70000})
    monkeypatch.setenv("TOCSIN_QUEUE", "many")
    with pytest.raises(InputError, match=r"^TOCSIN_QUEUE: Input should be a valid integer"):
        read_settings({"port": 1234})
