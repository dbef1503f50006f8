"""Report and card say what the figures say, load nothing, and show no text that they were not given."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

np = pytest.importorskip("numpy", reason="NOT RUN: the report needs the training environment (`make train-env`)")
pytest.importorskip("matplotlib", reason="NOT RUN: the report needs the training environment (`make train-env`)")

from training import card, config, figures, report  # noqa: E402

ASKED = config.read()
LABELS = ["high", "normal", "low"]


def head(seed: int) -> dict:
    """Figures of made-up predictions."""
    rng = np.random.default_rng(seed)
    chances = rng.dirichlet([1, 1, 1], 60).astype(np.float32)
    truth = np.where(rng.random(60) < 0.7, chances.argmax(1), rng.integers(0, 3, 60))
    reason = np.where(chances.max(1) < 0.5, "unsure", "").astype(object)
    return figures.of_head(figures.Rows(LABELS, chances, truth, chances.argmax(1), reason), resamples=40)


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    mistake = {"file": "f#1", "id": "v-<1>", "truth": "low", "found": "high", "probability": 0.93, "abstained": None}
    shown = {
        "mails": 60,
        "heads": {"urgency": head(1) | {"mistakes": [mistake | {"text": "Hello <script>x</script>"}]}},
    }
    hidden = {"mails": 60, "heads": {"urgency": head(2) | {"mistakes": [mistake | {"id": "real-7"}]}}}
    (folder / "figures.json").write_text(
        json.dumps(
            {
                "model": "default-2",
                "created": "2026-11-21",
                "extra": True,
                "trained_on": 10_000,
                "sets": {
                    "careful_mix": shown,
                    "real_validation": hidden,
                    "fold A": {"mails": 60, "heads": {"urgency": head(3)}},
                },
                "baselines": {"careful_mix": {"urgency": {"naive Bayes": head(4), "word counts": head(5)}}},
                "flips": {"urgency": 0.004},
                "parity": 3.4e-5,
                "milliseconds": {"median": 7.1, "p99": 20.2},
                "processor": {"avx2": True, "avx512_vnni": False},
            }
        )
    )
    (folder / "final").mkdir()
    (folder / "final" / "log.csv").write_text("step,epoch,loss_urgency\n1,0,1.1\n2,0,\n3,0,0.7\n")
    files = [{"file": "voices", "committed": True, "mails": {"written": 507}, "licences": ["MIT or Apache-2.0"]}]
    files += [{"file": "theirs", "committed": False, "mails": {"read": 9}, "licences": ["CC0|x"]}]
    (folder / "data.json").write_text(json.dumps({"train": files, "choose": []}))
    numbers = {name: {"temperature": 1.3, "threshold": 0.4} for name in ASKED.heads}
    numbers["urgency"]["labels"] = {"high": 0.31}
    (folder / "calibration.json").write_text(json.dumps(numbers))
    (folder / "times.json").write_text(json.dumps({"prepare": {"seconds": 5400, "peak_bytes": 3_000_000_000}}))
    report.write(folder)
    card.write(folder, ASKED)
    return folder


class Tags(HTMLParser):
    """What a page asks a browser to load, and whether its elements are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.scripts = 0

    def handle_starttag(self, tag: str, attributes: list) -> None:
        self.scripts += tag == "script"
        names = ("src", "href", "xlink:href")
        self.loads += [value for name, value in attributes if name in names and not value.startswith("#")]


def test_the_page_loads_nothing_and_runs_nothing(work: Path) -> None:
    tags = Tags()
    tags.feed((work / "report.html").read_text())
    assert tags.loads == []
    assert tags.scripts == 0
    assert "url(http" not in (work / "report.html").read_text()


def test_the_page_shows_the_figures_and_the_plots(work: Path) -> None:
    page = (work / "report.html").read_text()
    made = json.loads((work / "figures.json").read_text())
    assert report.spread(made["sets"]["careful_mix"]["heads"]["urgency"], "macro_f1") in page
    assert page.count("<svg") == page.count("</svg>") == 1 + 2 * 2
    assert "&lt;script&gt;" in page
    assert "real-7" in page
    assert page.count("<pre>") == 1


def test_the_same_figures_give_the_same_page(work: Path) -> None:
    before = (work / "report.html").read_bytes()
    report.write(work)
    assert (work / "report.html").read_bytes() == before


def test_the_card_has_data_numbers_calibration_speed_and_the_way_back(work: Path) -> None:
    text = (work / "card.md").read_text()
    for part in ("| voices | yes | 507 written | MIT or Apache-2.0 |", "| theirs | no | 9 read | CC0/x |"):
        assert part in text
    assert "| urgency | 1.300 | 0.40 | high 0.31 |" in text
    assert "further ones that may not be committed" in text
    assert "differ by 3.4e-05 at most" in text
    assert "1.5 hours and 3.0 GB" in text
    assert "processor with avx2:" in text
    assert not re.search(r"\{[a-z_]+\}", text), "a name was not filled in"


def test_the_card_shows_another_run_beside_its_own(work: Path, tmp_path: Path) -> None:
    other = json.loads((work / "figures.json").read_text()) | {"extra": False, "trained_on": 7_259}
    (tmp_path / "figures.json").write_text(json.dumps(other))
    card.write(work, ASKED, tmp_path)
    text = (work / "card.md").read_text()
    card.write(work, ASKED)
    assert "## The same from the mails of this repository alone\n\n7259 mails; this file is not that model." in text
    assert "The same from" not in (work / "card.md").read_text()


def test_every_table_of_the_card_has_rows_of_one_width(work: Path) -> None:
    tables = re.findall(r"(?:^\|.*\n)+", (work / "card.md").read_text(), flags=re.MULTILINE)
    assert len(tables) == 5
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1
