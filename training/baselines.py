"""What the model has to beat: naive Bayes, and word counts with logistic regression.

Both learn from the mails that the model learns from and are judged on the same mails. They
deliberately stay as people build them: no search, nothing chosen by the mails that judge.
"""

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import Pipeline

from training.figures import Rows
from training.mails import Mail, place


def naive_bayes() -> Pipeline:
    """Counts of words."""
    return Pipeline([("words", CountVectorizer()), ("learner", MultinomialNB())])


def word_counts() -> Pipeline:
    """TF-IDF of words and word pairs."""
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    return Pipeline([("words", words), ("learner", LogisticRegression(C=10, class_weight="balanced", tol=1e-3))])


BASELINES = {"naive Bayes": naive_bayes, "word counts": word_counts}


def rows(name: str, head: str, labels: dict[str, list[str]], learn: list[Mail], judge: list[Mail]) -> Rows:
    """Predictions of the baseline `name` for those mails of `judge` whose label of this head is known."""
    known = [mail for mail in learn if head in mail.labels]
    asked = [mail for mail in judge if head in mail.labels]
    learner = BASELINES[name]()
    right = [mail.labels[head] for mail in known]
    learner.fit([mail.text for mail in known], right, learner__sample_weight=[mail.weight for mail in known])
    given = learner.predict_proba([mail.text for mail in asked]).astype(np.float32)
    chances = np.zeros((len(asked), len(labels[head])), np.float32)
    chances[:, [labels[head].index(label) for label in learner.classes_]] = given
    truth = np.array([place(mail, head, labels) for mail in asked])
    return Rows(labels[head], chances, truth, chances.argmax(axis=1), np.full(len(asked), "", dtype=object))
