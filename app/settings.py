"""Every setting of the service, read from the environment with the prefix ``EVENTS_``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le
from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.serving.cpus import available_cpus
from app.serving.keys import read_keys

VERSION = "0.1.0"

MODELS = Path(__file__).resolve().parent.parent / "models"

Count = Annotated[int, Ge(1)]
Seconds = Annotated[float, Gt(0), Le(86_400)]


class Settings(BaseSettings):
    """The settings of one process; raises pydantic's ValidationError where the environment holds a bad value."""

    model_config = SettingsConfigDict(env_prefix="EVENTS_", frozen=True, protected_namespaces=())

    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 for all.")
    port: Annotated[int, Ge(0), Le(65_535)] = Field(8000, description="Port to listen on; 0 takes any free one.")
    root_path: str = Field("", description="Path prefix under which a gateway serves this service, such as `/events`.")
    forwarded_allow_ips: str = Field(
        "127.0.0.1",
        description="Addresses or networks, comma-separated, whose `X-Forwarded-*` headers count; empty for none.",
    )
    api_keys_file: Path | None = Field(
        None,
        description="File of API keys, one a line, read anew when changed; `/v1` asks for one of them. Empty: no keys.",
    )
    model: Literal["base", "small"] = Field(
        "base", description="Which of the shipped models answers: `base` finds more, `small` is faster."
    )
    model_dir: Path | None = Field(None, description="Folder of another model, which then answers instead.")
    dtype: Literal["auto", "float32", "bfloat16", "int8"] = Field(
        "auto",
        description="Number type of the encoder: `float32`, `bfloat16`, `int8`, or `auto`, what the processor "
        "multiplies fastest.",
    )
    early_exit: bool = Field(
        True,
        description="Whether the encoder leaves a window after its first layers where these see no event; off, each "
        "is read to the end.",
    )
    threads: Annotated[int, Ge(0)] = Field(
        0,
        description="Threads of the encoder; 0 takes the cores of this process by affinity and cgroup.",
    )
    batch_tokens: Count = Field(
        512,
        description="Most tokens that a thread of the encoder takes from the queue at a time; one window, if longer.",
    )
    max_queued_tokens: Count = Field(
        524_288,
        description="Tokens of accepted, unanswered articles beyond which new work gets 429; of a batch, those of the "
        "articles under way. Their vectors take up to 4 kB a token.",
    )
    max_wait_s: Seconds = Field(
        20.0,
        description="Seconds, by the speed of late, for which others may hold up new work; beyond them it gets 429.",
    )
    max_body_bytes: Count = Field(
        8 * 1024 * 1024, description="Most bytes of a request's body, and of one NDJSON line; more gets 413."
    )
    max_buffered_bytes: Count = Field(
        128 * 1024 * 1024, description="Most bytes of all bodies being read at one time; beyond it new ones get 429."
    )
    max_articles: Annotated[int, Ge(1), Le(256)] = Field(256, description="Most articles in one JSON batch.")
    request_timeout_s: Seconds = Field(
        60.0, description="Seconds until a request gets 504, when it sends no `X-Request-Timeout`."
    )
    max_request_timeout_s: Seconds = Field(600.0, description="Largest `X-Request-Timeout` that a request may ask for.")
    drain_grace_s: Seconds = Field(
        30.0, description="Seconds that accepted requests have to finish in after SIGTERM; what is left gets 503."
    )
    trace_endpoint: str = Field(
        "",
        description="URL that takes traces as OTLP over HTTP, such as `http://collector:4318/v1/traces`; empty for no "
        "tracing.",
    )
    trace_ratio: Annotated[float, Ge(0), Le(1)] = Field(
        1.0, description="Share of the requests that are traced, of those whose caller did not decide it."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")
    build_revision: str = Field("unknown", description="Revision of the source, told by `/version` and the metrics.")

    @property
    def encoder_threads(self) -> int:
        """How many they are, once the cores are known."""
        return self.threads or available_cpus()

    @property
    def model_folder(self) -> Path:
        """Where the model lies."""
        return self.model_dir or MODELS / self.model

    @field_validator("root_path")
    @classmethod
    def _plain_prefix(cls, value: str) -> str:
        value = value.rstrip("/")
        if value and not value.startswith("/"):
            raise ValueError("must start with /")
        return value

    @field_validator("api_keys_file", "model_dir", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("api_keys_file")
    @classmethod
    def _readable_keys(cls, value: Path | None) -> Path | None:
        try:
            if value is not None:
                read_keys(value)
        except OSError as error:
            raise ValueError(f"cannot be read: {error.strerror}") from None
        return value

    @field_validator("trace_endpoint")
    @classmethod
    def _plain_url(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        if "@" in value:
            raise ValueError("must hold no password; OTEL_EXPORTER_OTLP_HEADERS is for credentials")
        return value

    @model_validator(mode="after")
    def _default_within_bounds(self) -> Settings:
        if self.request_timeout_s > self.max_request_timeout_s:
            raise ValueError("request_timeout_s must not exceed max_request_timeout_s")
        return self


def shown(settings: BaseSettings) -> dict[str, Any]:
    """The settings as they are in effect, for the log: a SecretStr as asterisks, a file of secrets by its path."""
    return settings.model_dump(mode="json")


def settings_table() -> str:
    """The settings as a Markdown table: variable, default, meaning."""
    rows = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        default = "empty" if field.default in ("", None) else f"`{field.default}`"
        rows.append(f"| `EVENTS_{name.upper()}` | {default} | {field.description} |")
    return "\n".join(rows) + "\n"
