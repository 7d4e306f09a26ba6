from typing import Any

import pytest
import yaml

from artifact.examples import manifest
from tocsin.artifact.card import write_card
from tocsin.artifact.card_decision import tell_decision
from tocsin.artifact.manifest import Manifest
from tocsin.core.encoder import Calibration

README = """# Intrusion

What it is for.

```sh
# a comment, not a heading
```

## Limits

Only NetFlow.
"""


def card_of(sealed: Manifest, facts: dict[str, Any], readme: str) -> str:
    """The card of a model that gives verdicts."""
    return write_card(sealed, tell_decision(sealed, facts), readme)


def estimate(
    value: float | None, low: float | None = None, high: float | None = None
) -> dict[str, float | None]:
    return {"value": value, "low": low, "high": high}


def evaluation(verdict: str = "better", **point: Any) -> dict[str, Any]:
    operating = {
        "threshold": 0.75, "max_false_positive_rate": 0.01, "upper_bound": 0.006,
        "valid_negatives": 5000, "valid_false_positives": 20,
        "daily_negatives": 100_000, "false_alerts_per_day": estimate(412.0, 300.0, 550.0),
    }  # fmt: skip
    scores = {"roc_auc": estimate(0.98, 0.97, 0.99), "f1": estimate(0.9), "recall": estimate(0.88)}
    slices = [
        {"by": "category", "name": "worms", "rows": 4, "too_few": True},
        {"by": "category", "name": "dos", "rows": 900, "too_few": False},
    ]
    return {
        "primary": "model",
        "models": {
            "model": {"metrics": scores, "operating_point": operating | point, "slices": slices},
            "lightgbm": {"metrics": {"roc_auc": estimate(0.97)}, "operating_point": operating, "slices": []},
        },
        "comparisons": [
            {
                "metric": "roc_auc", "model": "model", "other": "lightgbm",
                "difference": estimate(0.01, -0.01, 0.03), "verdict": verdict,
            }
        ],
    }  # fmt: skip


def front_matter(card: str) -> dict[str, Any]:
    _, head, _ = card.split("---\n", 2)
    found = yaml.safe_load(head)
    assert isinstance(found, dict)
    return found


def section(card: str, title: str) -> str:
    return card.split(f"\n## {title}\n\n")[1].split("\n\n## ")[0]


def test_the_front_matter_is_hugging_faces():
    head = front_matter(card_of(manifest(), evaluation(), README))
    assert head["metrics"] == ["roc_auc", "f1"], "what is not defined is left out"
    (result,) = head["model-index"][0]["results"]
    assert {"type": "roc_auc", "name": "roc_auc", "value": 0.98} in result["metrics"]
    assert result["dataset"]["name"] == "flows.csv"
    assert head["license"] == "unknown"
    assert front_matter(card_of(manifest(data={"licence": "cc-by-4.0"}), {}, ""))["license"] == "cc-by-4.0"


def test_every_number_stands_with_its_interval():
    card = card_of(manifest(), evaluation(), README)
    metrics = section(card, "Metrics").splitlines()
    assert "| roc_auc | 0.98 | 0.97 to 0.99 |" in metrics
    assert "| ece | - | - |" in metrics
    assert "| false_alerts_per_day | 412 (300 to 550) |" in section(card, "Operating point")
    assert "| lightgbm | 0.97 | - | - |" in section(card, "Compared with simpler models")
    assert "| data fingerprint | " + "2" * 64 in section(card, "Made by")
    assert "| refused_rows | 3 |" in section(card, "Data")


def test_the_answer_is_explained():
    text = section(card_of(manifest(), {}, ""), "Answer")
    assert "`attack` where the calibrated probability is at least 0.75, else `normal`" in text
    assert "dos, probe" in text
    assert "From 0.25 up to the threshold a person decides" in text
    plain = section(card_of(manifest(calibration=Calibration("yes", "no")), {}, ""), "Answer")
    assert "person" not in plain
    assert "one of" not in plain


@pytest.mark.parametrize("verdict", ["no evidence", "worse"])
def test_a_model_that_is_no_better_says_so(verdict: str):
    sentence = "it is not shown to be better than `lightgbm`"
    assert sentence in section(card_of(manifest(), evaluation(verdict), README), "Limits")
    assert sentence not in section(card_of(manifest(), evaluation("better"), README), "Limits")


def test_limits_follow_from_the_facts():
    limits = section(card_of(manifest(), evaluation(upper_bound=0.02), README), "Limits")
    assert "may be as high as 0.02" in limits
    assert "category = worms: too few rows (4)" in limits
    assert "category = dos" not in limits
    assert "3 rows were refused" in limits
    assert "in no commit" not in limits
    dirty = manifest().provenance.model_copy(update={"git_dirty": True})
    limits = section(card_of(manifest(provenance=dirty, data={}), evaluation(), README), "Limits")
    assert "in no commit" in limits
    assert "refused" not in limits
    assert "as high as" not in limits


def test_the_readme_keeps_its_order_below_one_title():
    card = card_of(manifest(), evaluation(), README)
    assert [line for line in card.splitlines() if line.startswith("# ")] == [
        "# example",
        "# a comment, not a heading",
    ]
    assert "### Intrusion" in card
    assert "#### Limits" in card


def test_without_an_evaluation_what_is_known_remains():
    card = card_of(manifest(), {}, README)
    assert "Operating point" not in card
    assert "roc_auc" in section(card, "Metrics")


def test_a_table_holds_hostile_names():
    card = card_of(manifest(data={"sources": ["a|b\nc.csv"]}), {}, "")
    assert "| sources | a\\|b c.csv |" in card


def test_equal_input_gives_an_equal_card():
    assert card_of(manifest(), evaluation(), README) == card_of(manifest(), evaluation(), README)
