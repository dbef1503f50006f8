"""Word counts: the nodes in the file give what the sum in numpy gives."""

import time
from pathlib import Path

import pytest

needs = "needs the training's packages: make train-env"
np = pytest.importorskip("numpy", reason=needs)
pytest.importorskip("onnx", reason=needs)
pytest.importorskip("onnxruntime", reason=needs)

from training import export, graph, graph_counts  # noqa: E402
from training.graph import Graph, Precision  # noqa: E402

VOCABULARY, BUCKETS = 500, 256
LABELS = {"mood": 2, "topic": 3}


@pytest.fixture(scope="module")
def counts() -> graph_counts.Counts:
    rng = np.random.default_rng(5)
    table = rng.normal(size=(VOCABULARY + BUCKETS, 5))
    idf, bias = rng.uniform(1, 9, len(table)), rng.normal(size=5)
    return graph_counts.stored(table, idf, bias, {"mood": 0.5, "topic": 2.0}, LABELS, BUCKETS)


@pytest.fixture(scope="module")
def session(counts, tmp_path_factory):
    made, file = Graph(Precision.SMALL), tmp_path_factory.mktemp("counts") / "counts.onnx"
    for head, name in graph_counts.add(made, counts).items():
        made.node("Identity", [name], head)
    made.node("Identity", [made.keep("one", np.ones((1, 1), np.float32))], "embedding")
    graph.save(made, {head: (None, np.zeros(size)) for head, size in LABELS.items()}, 1, file)
    return export.session(file)


@pytest.mark.parametrize("length", [1, 2, 3, 128, 256])
@pytest.mark.parametrize("different", [1, 20, VOCABULARY], ids=lambda count: f"of {count} ids")
def test_nodes_and_numpy_agree(counts, session, length: int, different: int) -> None:
    ids = np.random.default_rng(length).integers(0, different, length)
    found = session.run(list(LABELS), {"input_ids": ids[None].astype(np.int64)})
    for head, row in zip(LABELS, found, strict=True):
        assert np.abs(row[0] - graph_counts.logits(counts, ids)[head]).max() < 1e-4


def test_the_sum_is_the_one_that_is_written_down(counts) -> None:
    ids = np.array([7, 9, 7])
    first, second = (VOCABULARY + (a * 31337 + b * 7919) % BUCKETS for a, b in ((7, 9), (9, 7)))
    assert first != second
    values = {7: 1 + np.log(2), 9: 1.0, first: 1.0, second: 1.0}
    values = {feature: value * float(counts.idf[feature]) for feature, value in values.items()}
    length = sum(value**2 for value in values.values()) ** 0.5
    rows = counts.rows * counts.row_scales[:, None]
    expected = sum(value / length * rows[feature] for feature, value in values.items()) + counts.bias
    assert graph_counts.logits(counts, ids)["mood"] == pytest.approx(0.5 * expected[:2])
    assert graph_counts.logits(counts, ids)["topic"] == pytest.approx(2.0 * expected[2:])


def test_a_mail_of_features_that_all_weigh_nothing_gets_the_bias_alone(counts, tmp_path: Path) -> None:
    silent = graph_counts.stored(
        np.ones((VOCABULARY + BUCKETS, 5)), np.zeros(VOCABULARY + BUCKETS), counts.bias, counts.scales, LABELS, BUCKETS
    )
    assert graph_counts.logits(silent, np.array([3]))["topic"] == pytest.approx(2.0 * counts.bias[2:])


def test_it_takes_a_small_part_of_a_millisecond(session) -> None:
    ids = np.random.default_rng(0).integers(0, VOCABULARY, (1, 256)).astype(np.int64)
    times = []
    for _ in range(50):
        begun = time.perf_counter()
        session.run(list(LABELS), {"input_ids": ids})
        times.append(time.perf_counter() - begun)
    assert min(times) < 1e-3  # measured: 0.11 ms; a product that is quadratic in the length takes longer


def test_parts_that_do_not_fit_together_are_refused(counts) -> None:
    with pytest.raises(ValueError, match="do not fit together"):
        graph_counts.Counts(
            counts.rows, counts.row_scales[:-1], counts.idf, counts.bias, counts.scales, LABELS, BUCKETS
        )


def test_new_labels_get_nothing_added_and_old_ones_keep_theirs(counts) -> None:
    ids = np.array([4, 8, 15])
    before, after = counts, graph_counts.widened(counts, {"mood": 3, "topic": 3, "new": 2})
    old, new = graph_counts.logits(before, ids), graph_counts.logits(after, ids)
    assert new["mood"] == pytest.approx([*old["mood"], 0])
    assert new["topic"] == pytest.approx(old["topic"])


def test_a_padded_batch_gives_what_each_mail_gives(counts) -> None:
    found = graph_counts.batch(counts, np.array([[5, 6, 7], [5, 0, 0]]), np.array([[1, 1, 1], [1, 0, 0]]))
    assert found["mood"][0] == pytest.approx(graph_counts.logits(counts, np.array([5, 6, 7]))["mood"], abs=1e-5)
    assert found["mood"][1] == pytest.approx(graph_counts.logits(counts, np.array([5]))["mood"], abs=1e-5)
