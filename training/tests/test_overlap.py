"""A mail that repeats what trained is known by its text, whatever its id, sender and subject."""

from training import overlap

LETTER = "From: A @ b.org\nSubject: s\n\nPlease review the note that I wrote to Pam about the old house in town."


def test_a_copy_under_another_sender_and_subject_is_found() -> None:
    copy = LETTER.replace("A @ b.org", "C @ d.org").replace("Subject: s", "Subject: FW: s")
    assert overlap.repeated([LETTER], ["From: x\n\nSomething else.", copy]) == [True]


def test_a_mail_that_is_quoted_whole_in_a_longer_one_is_found() -> None:
    assert overlap.repeated([LETTER], [f"{LETTER} Thanks, I will. Let us meet and talk about it."]) == [True]


def test_a_shared_sentence_in_a_mail_of_its_own_is_none() -> None:
    longer = LETTER + " " + " ".join(f"word{number}" for number in range(60))
    assert overlap.repeated([longer], [LETTER]) == [False]


def test_short_bodies_are_copies_only_when_they_are_the_same_and_empty_ones_never() -> None:
    judge = ["From: a\n\nThanks!", "From: a\n\nThanks a lot", "From: a\nSubject: x\n\n", "Subject: x"]
    assert overlap.repeated(judge, ["From: b\n\nthanks", "From: a\nSubject: x\n\n"]) == [True, False, False, False]


def test_copies_of_halves_in_two_mails_do_not_add_up() -> None:
    words = [f"word{number}" for number in range(40)]
    halves = [f"From: a\n\n{' '.join(part)}" for part in (words[:20], words[20:])]
    assert overlap.repeated([f"From: a\n\n{' '.join(words)}"], halves) == [False]
