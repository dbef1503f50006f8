"""Mails are prepared whole: labels, weights, groups and folds follow their rules."""

import dataclasses
import json
import os
from pathlib import Path

import pytest

from training import config, mails, prepare

ROOT = Path(__file__).resolve().parents[2]
TRIAGED = Path(os.environ.get("TRIAGED", ROOT / "target" / "debug" / "triaged"))
READ = config.read()
WEIGHTS = dataclasses.replace(READ.weights, written=1.0, read=0.9, corpus=0.3, rule=0.2, none=0.0, unsure=0.5)
ASKED = dataclasses.replace(READ, weights=WEIGHTS, shares=config.Shares(corpus=0.3, rule=1.0))
FILE = Path("somewhere/front_desks.jsonl")


def row(**fields: object) -> dict:
    return {"id": "t1-001", "from": "A <a@b.example>", "subject": "s", "body": "b", "urgency": "high"} | fields


def test_labels_are_the_known_ones() -> None:
    found = prepare.labels_of(row(sentiment=None, category="order"), ASKED, "x")
    assert found == {"urgency": "high", "category": "order"}


def test_a_label_that_nobody_knows_is_refused_with_its_place() -> None:
    with pytest.raises(SystemExit, match=r"f\.jsonl, line 3: urgency 'soon' is none of high, normal, low"):
        prepare.labels_of(row(urgency="soon"), ASKED, "f.jsonl, line 3")


def test_weights_come_from_the_source_and_from_doubt() -> None:
    assert prepare.weight_of(row(), "written", ASKED) == ASKED.weights.written
    assert prepare.weight_of(row(sure=True), "read", ASKED) == ASKED.weights.read
    assert prepare.weight_of(row(sure=False), "corpus", ASKED) == ASKED.weights.corpus * ASKED.weights.unsure


def test_of_a_source_with_a_share_the_same_part_is_always_taken() -> None:
    names = [f"sa-{number}" for number in range(1000)]
    taken = [name for name in names if prepare.takes_part(name, "corpus", ASKED)]
    assert 250 < len(taken) < 350
    assert taken == [name for name in names if prepare.takes_part(name, "corpus", ASKED)]
    assert all(prepare.takes_part(name, source, ASKED) for name in names for source in ("rule", "read", "written"))


@pytest.mark.parametrize(("one", "other"), [("t13-001a", "t13-001b"), ("t13-001", "t13-001d")])
def test_members_of_a_pair_are_one_group(one: str, other: str) -> None:
    assert prepare.group_of(row(id=one), FILE) == prepare.group_of(row(id=other), FILE)


def test_ids_that_only_look_like_pairs_are_not_one_group() -> None:
    groups = {prepare.group_of(row(id=identity), FILE) for identity in ("t1-001", "t1-002", "t1-abc", "t1-ab")}
    assert len(groups) == 4
    assert len({prepare.group_of(row(id=identity), Path(name)) for identity in ("a",) for name in ("f", "g")}) == 2


def test_further_mails_are_grouped_by_thread_or_else_by_subject() -> None:
    def group(**fields: object) -> str:
        return prepare.group_of(row(source="a corpus") | fields, FILE)

    assert group(thread=7, subject="x") == group(thread=7, subject="y") != group(thread=8, subject="x")
    assert group(id="a", subject="Lunch") == group(id="b", subject="RE: [list]  Fwd: lunch ")
    assert group(id="a", subject="") != group(id="b", subject="")


def test_a_written_file_is_in_its_fold_and_further_groups_spread_over_all() -> None:
    assert prepare.fold_of("front_desks/t1-001", FILE, ASKED) == "B"
    folds = [prepare.fold_of(f"other/{number}", Path("other.jsonl"), ASKED) for number in range(400)]
    assert {fold: 70 < folds.count(fold) < 130 for fold in "ABCD"} == dict.fromkeys("ABCD", True)
    assert folds == [prepare.fold_of(f"other/{number}", Path("other.jsonl"), ASKED) for number in range(400)]


def test_what_tells_a_corpus_from_others_is_taken_out() -> None:
    text = "From: Joe @ lists.taint.org\n\nHello\n" + "_" * 40 + "\nThe mailing list\nhttp://lists.taint.org/x"
    made = prepare.without_traces(text, "sa-1")
    assert "taint" not in made
    assert "mailing list" not in made
    assert made.endswith("\n\nHello")
    assert made == prepare.without_traces(text, "sa-1")


def test_files_to_choose_by_never_train(tmp_path: Path) -> None:
    for name in ("mine", "mine_validation"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(row(source="mine")) + "\n")
    train, choose = prepare.inputs(tmp_path)
    assert [file.stem for file in train if tmp_path in file.parents] == ["mine"]
    assert [file.stem for file in choose if tmp_path in file.parents] == ["mine_validation"]
    assert not [file for file in train if "validation" in str(file.relative_to(file.parents[1]))]


def test_a_further_mail_that_does_not_say_where_it_comes_from_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text(json.dumps(row(source="mine")) + "\n" + json.dumps(row()) + "\n")
    with pytest.raises(SystemExit, match=r'mine\.jsonl, line 2: lacks "source"'):
        prepare.inputs(tmp_path)


def test_an_empty_folder_of_further_mails_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="holds no .jsonl file"):
        prepare.inputs(tmp_path)


@pytest.mark.parametrize("line", ["{", "[]", "{}", '{"id": 3}'])
def test_a_line_that_is_no_mail_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text('{"id": "a"}\n' + line + "\n")
    with pytest.raises(SystemExit, match=r"x\.jsonl, line 2"):
        prepare.raw_rows(file)


def test_a_binary_that_is_not_there_is_named_with_the_way_to_it(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="make build"):
        prepare.render(tmp_path / "triaged", [FILE])


@pytest.mark.skipif(not TRIAGED.is_file(), reason=f"NOT RUN: {TRIAGED} is not built, and only it renders mail")
def test_rows_are_rendered_and_kept_as_they_were_read(tmp_path: Path) -> None:
    file, work = tmp_path / "mine.jsonl", tmp_path / "work"
    rows = [
        row(
            id="m-1",
            subject="Where is it?",
            body="My parcel is late.\n\nOn Monday Ann wrote:\n> Dear A",
            category="order",
        ),
        row(id="m-2", label_source="none"),
        row(id="m-3", urgency=None),
        row(id="m-4", source="corpus x", license="CC0", label_source="rule", sure=False),
    ]
    file.write_text("".join(json.dumps(one) + "\n" for one in rows))
    prepared, validation = prepare.prepare(TRIAGED, work, ([file], []), ASKED)
    assert prepared == mails.read_prepared(work / "prepared.jsonl")
    assert [mail.id for mail in prepared] == ["m-1", "m-4"]
    assert prepared[0].text == "From: A @ b.example\nSubject: Where is it?\n\nMy parcel is late."
    assert prepared[0].labels == {"urgency": "high", "category": "order"}
    assert (prepared[1].source, prepared[1].weight) == ("rule", ASKED.weights.rule * ASKED.weights.unsure)
    assert validation == []
    about = json.loads((work / "data.json").read_text())
    assert about["train"][0]["mails"] == {"written": 1, "rule": 1}


@pytest.mark.skipif(not TRIAGED.is_file(), reason=f"NOT RUN: {TRIAGED} is not built, and only it renders mail")
def test_an_id_on_both_sides_is_refused(tmp_path: Path) -> None:
    files = [tmp_path / "mine.jsonl", tmp_path / "mine_validation.jsonl"]
    for file in files:
        file.write_text(json.dumps(row()) + "\n")
    with pytest.raises(SystemExit, match="ids that occur twice: t1-001"):
        prepare.prepare(TRIAGED, tmp_path / "work", (files[:1], files[1:]), ASKED)
