"""Names of other tools as pipelines."""

from __future__ import annotations

import hashlib
import re

# Characters of a pipeline's key.
MAX_PIPELINE = 64
# Characters of a run's id.
MAX_ID = 250


def pipeline_key(name: str) -> str:
    """A name as the key of a pipeline. A name that has to be changed gets a suffix, so that no two names share a key."""
    if re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", name):
        return name
    plain = re.sub(r"[^a-z0-9._-]", "-", name.lower()).lstrip("._-")
    return f"{plain[: MAX_PIPELINE - 9]}-{_digest(name)}".lstrip("-")


def run_id(text: str) -> str:
    """A text as the id of a run: a long one is cut, and stays distinct."""
    plain = re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", text).strip()
    return plain if len(plain) <= MAX_ID and plain == text else f"{plain[: MAX_ID - 9]}-{_digest(text)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
