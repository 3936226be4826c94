"""What all models share: the base class (snake_case in Python, camelCase in JSON) and bounded text."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

ShortText = Annotated[str, StringConstraints(max_length=256)]


def readable(text: str) -> str:
    """A text that JSON and UTF-8 can hold: the bytes of a file name that is no UTF-8 (Python has them as lone
    surrogates) become escapes as `\\xe9`.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        try:
            return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        except UnicodeEncodeError:
            return text.encode("utf-8", "backslashreplace").decode("utf-8")
    return text


Sentence = Annotated[str, AfterValidator(readable)]
"""For a person; it may quote a file's name."""


class Model(BaseModel):
    """An immutable value with camelCase wire names that refuses unknown keys."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        protected_namespaces=(),
        allow_inf_nan=False,
    )

    def to_wire(self) -> dict[str, object]:
        """The JSON form: camelCase keys, unset (None) values left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class Lenient(Model):
    """A value that another version may have written: unknown keys are ignored."""

    model_config = ConfigDict(extra="ignore")


def describe_settings_errors(error: ValidationError, prefix: str) -> list[str]:
    """A sentence for each wrong setting, which is an environment variable that begins with `prefix`; of one
    that is an object the part within it is named too."""
    sentences = []
    for problem in error.errors():
        # Among the names and indices pydantic tells which member of a union it tried, in its own language.
        setting, *inside = (str(part) for part in problem["loc"] if re.fullmatch(r"\w+", str(part)))
        given = "" if problem["type"] == "missing" else f", got {problem['input']!r}"
        sentences.append(f"{'.'.join([prefix + setting.upper(), *inside])}: {problem['msg']}{given}")
    return sentences
