#!/usr/bin/env python3
"""Refuses documentation that refers to something that does not exist.

    scripts/check_docs.py [FILE…]   check these files, by default every tracked *.md file

In each file, relative links must lead to a file and an existing heading. Paths in backticks must be the end of the path of a
tracked file or folder. Other names in backticks (Types, snake_case, module::paths, PIPEWATCH_VARIABLES) must occur in the
code. README.md has at most 160 lines. Exit status: 1 if there are findings.
"""

import re
import subprocess
import sys
from pathlib import Path

README_LINES = 160
CODE = re.compile(r"```.*?^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
INLINE = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"^[\w.*-]*(/[\w.*-]+)*/?$")
ENDINGS = (".rs", ".md", ".sh", ".py", ".ts", ".tsx", ".js", ".jsx", ".toml", ".json", ".graphql", ".ndjson", ".html")
# Names worth checking: snake_case and CamelCase. A label in snake_case may be derived from a variant in CamelCase.
NAME = re.compile(r"[A-Za-z]\w*_\w+|[A-Z][a-z0-9]+(?:[A-Z]\w*)+|[a-z]+(?:[A-Z][a-z0-9]+)+")
# Settings of other programs, and placeholders.
FOREIGN = {"pool_mode", "ignore_startup_parameters", "extra_float_digits", "tcp_keepalives_", "oversized_document_is_refused",
           "NAME_tests", "OPENLINEAGE_URL", "extraListeners", "ReceiverStream", "OpenLineageSparkListener"}
# Files that are not tracked: built, or written by users.
UNTRACKED = re.compile(r"^(manifest|run_results|sources)\.json$|^(client/)?(dist|node_modules)/|^pipewatch\.(toml|db)$|^screenshots/$|^NAME(_tests)?\.rs$|\*")


def is_path(text):
    if not PATH.match(text) or text.startswith("/") or "://" in text:
        return False
    return text.endswith(ENDINGS) or (text.endswith("/") and text.count("/") >= 1)


def anchors(text):
    """The anchors of the headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", CODE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def exists(path, tracked):
    if path.endswith("/"):
        return any(f"/{path}" in f"/{other}" for other in tracked)
    return any(f"/{other}".endswith(f"/{path}") for other in tracked)


def check(root, path, words, tracked):
    """The findings of one file."""
    text = (root / path).read_text(encoding="utf-8")
    prose = CODE.sub("", text)
    folder = (root / path).parent
    for link in LINK.findall(prose):
        target, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        file = folder / target if target else root / path
        if not file.exists():
            yield f"{path}: link to a missing file: {link}"
        elif anchor and anchor not in anchors(file.read_text(encoding="utf-8")):
            yield f"{path}: link to a missing heading: {link}"
    for inline in INLINE.findall(prose):
        if is_path(inline):
            if not UNTRACKED.search(inline) and not exists(inline.removeprefix("../"), tracked):
                yield f"{path}: a path that does not exist: `{inline}`"
            continue
        for name in NAME.findall(inline):
            camel = "".join(part.capitalize() for part in name.split("_"))
            if not {name, camel} & words and name not in FOREIGN:
                yield f"{path}: a name that the code does not have: `{name}` in `{inline}`"
    if path == "README.md" and text.count("\n") > README_LINES:
        yield f"{path}: {text.count(chr(10))} lines, at most {README_LINES}"


def words_of(root, paths):
    """Every identifier of these files."""
    found = set()
    for path in paths:
        try:
            found.update(re.findall(r"\w+", (root / path).read_text(encoding="utf-8")))
        except (UnicodeDecodeError, FileNotFoundError):
            continue
    return found


def main(arguments):
    root = Path(__file__).resolve().parent.parent
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    tracked = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout.splitlines()
    words = words_of(root, [path for path in tracked if not path.endswith((".md", ".png"))])
    documents = arguments or [path for path in tracked if path.endswith(".md")]
    findings = [finding for path in documents for finding in check(root, path, words, tracked)]
    for finding in findings:
        print(finding)
    if findings:
        sys.exit(f"check_docs.py: {len(findings)} findings")


if __name__ == "__main__":
    main(sys.argv[1:])
