"""The demo fails when it should. Run: python3 -m unittest discover -s tests/demo"""

import copy
import unittest

from mailserver import Stored
from verdict import HEADS, LEAST_RIGHT, Result, complaints, read_expected, table
from pathlib import Path

HERE = Path(__file__).resolve().parent


def all_right() -> list[Result]:
    results = []
    for uid, (name, labels) in enumerate(read_expected(HERE / "expected.tsv"), start=1):
        keywords = [f"triaged-{labels['category']}"]
        record = {
            "outcome": "labelled",
            "labels": dict(labels),
            "confidences": dict.fromkeys(HEADS, 0.9),
            "keywords": keywords,
        }
        stored = Stored(uid, frozenset(keywords))
        results.append(Result(f"<{uid}>", name, labels, 0.0, stored, 0.5, record))
    return results


class Verdict(unittest.TestCase):
    def setUp(self) -> None:
        self.results = copy.deepcopy(all_right())

    def assert_complains(self, words: str) -> None:
        problems = complaints(self.results)
        self.assertTrue(any(words in problem for problem in problems), problems)

    def test_a_dozen_mails_are_expected_and_each_is_there(self) -> None:
        names = [name for name, _ in read_expected(HERE / "expected.tsv")]
        self.assertEqual(len(names), 12)
        self.assertEqual(sorted(names), sorted(path.name for path in (HERE / "mails").iterdir()))

    def test_all_right_is_no_complaint(self) -> None:
        self.assertEqual(complaints(self.results), [])

    def test_a_mail_that_was_not_decided_is_one(self) -> None:
        self.results[3].record = None
        self.assert_complains("not decided")

    def test_a_mail_that_is_planned_and_not_settled_is_one(self) -> None:
        self.results[3].record["outcome"] = "pending"
        self.assert_complains("not decided")

    def test_a_refused_keyword_is_one(self) -> None:
        self.results[3].record["outcome"] = "read-only"
        self.assert_complains("read-only")

    def test_a_server_that_disagrees_with_the_history_is_one(self) -> None:
        self.results[3].stored = Stored(4, frozenset())
        self.assert_complains("the server has []")

    def test_too_few_labels_as_expected_are_one(self) -> None:
        for head, least in LEAST_RIGHT.items():
            results = all_right()
            for result in results[least:]:
                result.record["labels"][head] = "wrong"
            self.assertEqual(complaints(results), [])
            results[0].record["labels"][head] = "wrong"
            self.assertEqual(len(complaints(results)), 1)

    def test_the_table_marks_what_a_person_would_not_have_said(self) -> None:
        self.results[0].record["labels"]["urgency"] = "low"
        printed = table(self.results)
        self.assertIn("low *", printed)
        self.assertIn("urgency 11 of 12", printed)


if __name__ == "__main__":
    unittest.main()
