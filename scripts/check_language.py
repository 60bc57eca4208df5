#!/usr/bin/env python3
"""Refuses words that the project's style guide (CONTRIBUTING.md, "Language") does not use.

    scripts/check_language.py [PATH…]   check these files and folders, by default every tracked file

It checks documentation, comments, texts and names alike. scripts/language_allowed.txt lists the uses that are right, one on
a line: `PATH: FRAGMENT` allows the words in every line of PATH that contains FRAGMENT; `exclude: PATH` leaves out a file or
a folder. An entry that allows nothing is an error, so that the list stays short. Exit status: 1 if there are findings.
"""

import re
import subprocess
import sys
from pathlib import Path

ENDINGS = {".md", ".rs", ".ts", ".tsx", ".js", ".mjs", ".py", ".toml", ".sh", ".html", ".graphql", ".json", ".yml"}
NAMES = {"Makefile", ".ci/run"}
# Lock files and other people's texts, and this check with its tests.
SKIPPED = re.compile(
    r"(^|/)(package-lock\.json|Cargo\.lock|LICENSE-[A-Z]+)$|^scripts/(check_language|test_check_language)\.py$"
)

# Each word with what to write in its place.
WORDS = {
    "told": "notified, received, reported",
    "somebody": "name the subject",
    "nobody": "name the subject",
    "everybody": "name the subject: every client, all users",
    "whoever": "name the subject",
    "anew": "again; recreate, rebuild, regenerate",
    "so many": "this many; name the number",
    "so long": "this long; name the duration",
    "(?-i:is none)": "is missing, is not set",
    r"(?<!there\x20)is no(?! (longer|more|worse|later|earlier|better|slower|larger|smaller|need|way|reason)\b)(?= \w)": "is not a, is not valid",
    "what is": "name the subject",
    "who has": "a client that has",
    "besides?": "next to, in addition to",
    "for ever": "forever, continuously",
    "by itself": "automatically",
    "stands?": "is, stays",
    "grave": "severe, high",
    "looks? at": "checks, reads, evaluates",
    "goes? on": "continues",
}
# Words of a phrase may be on two lines, each with a comment marker.
GAP = r"(?:[ \t]+|[ \t]*\n[ \t]*(?:///?!?|\*|#)?[ \t]*)"
PATTERNS = [
    (re.compile(r"(?<![\w-])(?:" + words.replace(" ", GAP) + r")(?![\w-])", re.IGNORECASE), advice)
    for words, advice in WORDS.items()
]


def is_checked(path):
    return (Path(path).suffix in ENDINGS or path in NAMES) and not SKIPPED.search(path)


def find(text):
    """The findings of a text, as (line number, line, word, advice)."""
    lines = text.split("\n")
    for pattern, advice in PATTERNS:
        for match in pattern.finditer(text):
            number = text.count("\n", 0, match.start()) + 1
            yield number, lines[number - 1], " ".join(match.group().split()), advice


class Allowed:
    def __init__(self, text):
        self.excluded, self.uses, self.used = [], [], set()
        for line in text.splitlines():
            if line.strip() and not line.startswith("#"):
                path, _, fragment = line.partition(": ")
                if path == "exclude":
                    self.excluded.append(fragment)
                else:
                    self.uses.append((path, fragment))

    def excludes(self, path):
        for excluded in self.excluded:
            if path == excluded or (excluded.endswith("/") and path.startswith(excluded)):
                self.used.add(excluded)
                return True
        return False

    def allows(self, path, line):
        hits = [use for use in self.uses if use[0] == path and use[1] in line]
        self.used.update(hits)
        return bool(hits)

    def unused(self):
        return [entry for entry in [*self.excluded, *self.uses] if entry not in self.used]


def check(root, paths, allowed):
    """Every finding as a line of text."""
    for path in paths:
        try:
            text = (root / path).read_text(encoding="utf-8")
        except FileNotFoundError:
            continue  # Deleted, but not yet committed.
        findings = sorted(find(text))
        if findings and allowed.excludes(path):
            continue
        for number, line, word, advice in findings:
            if not allowed.allows(path, line):
                yield f'{path}:{number}: "{word}" ({advice}): {line.strip()}'


def main(arguments):
    root = Path(__file__).resolve().parent.parent
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *arguments],
        cwd=root, check=True, capture_output=True, text=True,
    ).stdout.splitlines()
    allowed = Allowed((root / "scripts/language_allowed.txt").read_text(encoding="utf-8"))
    findings = list(check(root, filter(is_checked, listed), allowed))
    if not arguments:
        findings += [f"scripts/language_allowed.txt: allows nothing: {entry}" for entry in allowed.unused()]
    for finding in findings:
        print(finding)
    if findings:
        sys.exit(f"check_language.py: {len(findings)} findings; rewrite them, or allow a use that is right in "
                 "scripts/language_allowed.txt")


if __name__ == "__main__":
    main(sys.argv[1:])
