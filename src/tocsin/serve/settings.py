"""How the server listens, what it accepts and what it refuses."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from tocsin.core.errors import InputError


class Settings(BaseSettings):
    """Every setting can be given as a variable `TOCSIN_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix="TOCSIN_", frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", description="address to listen on; loopback unless you say otherwise")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 picks a free one")
    workers: int = Field(1, ge=1, le=256, description="server processes that share the port")
    threads: int = Field(1, ge=1, le=64, description="models that run at the same time in one process")
    max_body_bytes: int = Field(1_048_576, ge=1024, description="largest body of a request")
    max_batch: int = Field(512, ge=1, le=10_000, description="most samples in one request")
    max_explained: int = Field(
        16, ge=1, le=512, description="most samples in a request that asks for evidence"
    )
    max_answers: int = Field(4, ge=1, le=64, description="most samples in one request to a language model")
    max_tokens: int = Field(512, ge=1, le=8192, description="most tokens of one answer of a language model")
    queue: int = Field(
        64, ge=1, le=100_000, description="most requests that wait for an answer; others get 503"
    )
    body_timeout: float = Field(10.0, gt=0, description="seconds for a request, head and body, to arrive")
    inference_timeout: float = Field(30.0, gt=0, description="seconds for a request to be answered")
    heartbeat_timeout: float = Field(
        5.0, gt=0, description="seconds after which a stuck model fails liveness"
    )
    drain_delay: float = Field(0.5, ge=0, description="seconds of serving on, not ready, after SIGTERM")
    drain_timeout: int = Field(25, ge=1, description="seconds for accepted requests to end after that")
    tokens: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (), description="bearer tokens, separated by commas; without any, no token is asked for"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least severe log line"
    )
    request_log: Path | None = Field(
        None, description="file that requests are logged to; null is standard output"
    )
    require_signature: bool = Field(False, description="refuse an artifact without a valid signature")
    public_key: Path | None = Field(
        None, description="PEM file of the key that artifacts must be signed with"
    )

    @field_validator("tokens", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return (
            [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
        )

    @field_validator("tokens")
    @classmethod
    def _long_enough(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if any(len(token.get_secret_value()) < 16 for token in value):
            raise ValueError("a token has at least 16 characters")
        return value


def read_settings(given: Mapping[str, Any]) -> Settings:
    """Return what is given, and the variables for the rest; InputError names the setting that makes no sense."""
    try:
        return Settings(**given)
    except ValidationError as error:
        fault = error.errors(include_input=False)[0]
        name = str(fault["loc"][0]) if fault["loc"] else "?"
        where = name if name in given else f"TOCSIN_{name.upper()}"
        raise InputError(f"{where}: {fault['msg']}") from None
