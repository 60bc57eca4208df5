#!/usr/bin/env python3
"""Tests of check_language.py: python3 scripts/test_check_language.py"""

import tempfile
import unittest
from pathlib import Path

from check_language import Allowed, check, find, is_checked


def words(text):
    return [word for _, _, word, _ in sorted(find(text))]


class Find(unittest.TestCase):
    def test_each_word_is_found(self):
        for text in ("was told of", "Nobody waits", "so many requests", "the body is no JSON", "there is none", "for ever",
                     "what is sent", "a grave error", "looks at it", "goes on", "beside it", "besides", "Whoever asks"):
            self.assertEqual(len(words(text)), 1, text)

    def test_phrase_across_comment_lines_is_found(self):
        self.assertEqual(words("/// waits for so\n/// many seconds"), ["so /// many"])
        self.assertEqual(words("# for\n# ever"), ["for # ever"])

    def test_line_number_is_that_of_the_first_word(self):
        self.assertEqual([number for number, *_ in find("fine\n// so\n// long")], [2])

    def test_plain_english_passes(self):
        for text in ("it is no longer open", "is no more than", "outstanding", "a standalone server", "untold_things",
                     "somebody_else", "it has engraved", "understands",
                     "there is no pipeline"):
            self.assertEqual(words(text), [], text)


class Check(unittest.TestCase):
    def run_check(self, files, allowed=""):
        with tempfile.TemporaryDirectory() as folder:
            for path, text in files.items():
                (Path(folder) / path).parent.mkdir(parents=True, exist_ok=True)
                (Path(folder) / path).write_text(text)
            allowed = Allowed(allowed)
            return list(check(Path(folder), list(files), allowed)), allowed.unused()

    def test_finding_names_file_line_and_advice(self):
        (finding,), _ = self.run_check({"a.md": "one\nwas told\n"})
        self.assertTrue(finding.startswith('a.md:2: "told" (notified'), finding)

    def test_allowed_fragment_passes(self):
        self.assertEqual(self.run_check({"a.sh": "user=nobody\n"}, "a.sh: user=nobody\n"), ([], []))

    def test_allowed_fragment_counts_for_its_file_only(self):
        findings, _ = self.run_check({"a.sh": "user=nobody\n", "b.sh": "user=nobody\n"}, "a.sh: user=nobody\n")
        self.assertEqual(len(findings), 1)

    def test_excluded_folder_passes(self):
        self.assertEqual(self.run_check({"src/a.rs": "told"}, "# why\nexclude: src/\n"), ([], []))

    def test_unused_entry_is_reported(self):
        _, unused = self.run_check({"a.md": "fine"}, "exclude: src/\na.md: told\n")
        self.assertEqual(unused, ["src/", ("a.md", "told")])

    def test_only_texts_of_the_project_are_checked(self):
        self.assertTrue(is_checked("src/main.rs"))
        self.assertTrue(is_checked("Makefile"))
        for path in ("Cargo.lock", "client/package-lock.json", "docs/screenshots/alerts.png", "LICENSE-MIT"):
            self.assertFalse(is_checked(path), path)


if __name__ == "__main__":
    unittest.main()
