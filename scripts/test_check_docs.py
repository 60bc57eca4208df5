#!/usr/bin/env python3
"""Tests of check_docs.py: python3 scripts/test_check_docs.py"""

import tempfile
import unittest
from pathlib import Path

from check_docs import check


class Check(unittest.TestCase):
    def findings(self, text, path="a.md", words=()):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            (root / "b.md").write_text("# One title\n## `serve`, and more\n")
            (root / path).write_text(text)
            return list(check(root, path, set(words), ["b.md", "src/push/topic.rs"]))

    def test_existing_references_pass(self):
        text = "[b](b.md#one-title) [c](b.md#serve-and-more) `src/push/topic.rs` `push/topic.rs` `src/push/` `TopicKey` plain `word`"
        self.assertEqual(self.findings(text, words=["TopicKey"]), [])

    def test_missing_link_and_heading_are_found(self):
        self.assertEqual(len(self.findings("[b](c.md) [b](b.md#two) [c](#none)")), 3)

    def test_missing_path_is_found(self):
        self.assertEqual(len(self.findings("`src/live/group.rs` `src/live/`")), 2)

    def test_missing_names_are_found(self):
        for name in ("TopicKey", "push::topic_key", "PIPEWATCH_TOPIC", "max_groups", "alertEvents(since)"):
            self.assertEqual(len(self.findings(f"`{name}`")), 1, name)

    def test_code_blocks_are_not_checked(self):
        self.assertEqual(self.findings("```sh\n`missing_name` [x](y.md)\n```\n"), [])

    def test_readme_length_is_limited(self):
        self.assertEqual(self.findings("line\n" * 160, "README.md"), [])
        self.assertEqual(len(self.findings("line\n" * 161, "README.md")), 1)

    def test_routes_and_addresses_are_not_paths(self):
        self.assertEqual(self.findings("`/api/health` `http://127.0.0.1:8000/` `text/html`"), [])


if __name__ == "__main__":
    unittest.main()
