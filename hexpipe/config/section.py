"""The base of all sections of the settings, and the messages for invalid values."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError

from hexpipe.errors import SettingsError

_LIMITS = ("ge", "gt", "min_length"), ("le", "lt", "max_length")  # pydantic's names, of the least and of the most


class Section(BaseModel):
    """A frozen group of settings that refuses names it does not know, infinities and NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class RefusedError(SettingsError, ValueError):
    """What a check of several settings says: pydantic takes a ValueError alone."""


def refused(error: ValidationError, section: str = "") -> RefusedError:
    """Return the first error of ``error`` in one line, the setting by its dotted name, within ``section``."""
    first = error.errors()[0]
    name = ".".join(str(part) for part in (section, *first["loc"]) if part != "")
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        return RefusedError(unknown_setting(name), kind="unknown", setting=name)
    limits = first.get("ctx", {})
    if isinstance(said := limits.get("error"), RefusedError):
        return RefusedError(message, **vars(said))
    if first["type"] == "value_error":  # of a check over several settings, which names them itself
        return RefusedError(message, kind="conflict", setting=name)
    shown = name if name.isprintable() and len(name) <= 200 else brief(name)  # user-defined games take any name
    low, high = (next((limits[key] for key in keys if key in limits), None) for keys in _LIMITS)
    ranged = low is not None or high is not None
    words = f"{shown}: {message} (got {brief(first['input'])})" if name else message
    return RefusedError(words, kind="range" if ranged else "type", setting=name, low=low, high=high)


def unknown_setting(name: str) -> str:
    """Return the message for a dotted ``name`` that is no setting."""
    return f"there is no setting {brief(name)}; `hexpipe settings` lists them"


def brief(value: object) -> str:
    """Return the given value as text, in no more than a line."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
