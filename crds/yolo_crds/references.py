"""What `data.train` and `data.val` name: a URL, or else a path or name; and how a URL is shown to people."""

import re

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def is_url(reference: str) -> bool:
    """Whether a reference is a URL of any kind rather than a path or name; which ones are fetched is for
    prepare to say."""
    return _SCHEME.match(reference) is not None


def shown(reference: str) -> str:
    """A reference for messages: a URL without user, query and fragment, which may be secrets."""
    if not is_url(reference):
        return reference
    scheme, _, rest = reference.partition("://")
    authority, slash, path = re.split(r"[?#]", rest, maxsplit=1)[0].partition("/")
    return f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"
