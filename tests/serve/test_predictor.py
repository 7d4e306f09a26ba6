import json
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.toys import ATTACK, SAMPLES, golden_lines, toy_artifact, toy_files, toy_model
from tocsin.core.errors import CheckFailed, InputError, TocsinError
from tocsin.core.types import tabulate
from tocsin.serve import predictor as module
from tocsin.serve.predictor import NonFiniteOutput, Predictor

LOADED = Predictor.load(toy_artifact())
Toy = LOADED.schema.sample

toys = st.builds(
    Toy,
    a=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    b=st.none() | st.floats(-1e6, 1e6),
    protocol=st.sampled_from(["tcp", "udp", "gre"]),
    note=st.none() | st.text(max_size=5),
)


def test_answers_as_worked_out_by_hand() -> None:
    verdict, absent = LOADED.predict([Toy(**ATTACK), Toy()])
    logit = 2 * np.tanh(3) + np.tanh(2) + 0.6
    assert verdict.probability == pytest.approx(1 / (1 + np.exp(-logit / 1.5)), abs=1e-6)
    assert (verdict.label, verdict.category, verdict.threshold) == ("bad", "left", 0.6)
    assert verdict.artifact == LOADED.artifact.digest
    assert absent.probability == pytest.approx(1 / (1 + np.exp(0.7 / 1.5)), abs=1e-6)
    assert (absent.label, absent.abstain) == ("good", False)


def test_the_band_below_the_threshold_is_left_to_a_person() -> None:
    (verdict,) = LOADED.predict([Toy(a=0.1, b=0.0)])
    assert (verdict.label, verdict.abstain) == ("good", True)


@given(st.lists(toys, min_size=1, max_size=20), st.randoms())
def test_alone_together_and_in_any_order_are_the_same(samples: list[Toy], random) -> None:  # type: ignore[valid-type]
    together = [v.probability for v in LOADED.predict(samples)]
    alone = [LOADED.predict([sample])[0].probability for sample in samples]
    order = list(range(len(samples)))
    random.shuffle(order)
    shuffled = [v.probability for v in LOADED.predict([samples[i] for i in order])]
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-6)
    np.testing.assert_allclose([together[i] for i in order], shuffled, rtol=0, atol=1e-6)


def test_a_file_is_answered_in_blocks_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    encoder = type(LOADED.encoder)
    monkeypatch.setattr(encoder, "before", staticmethod(lambda columns: seen.append(len(columns["a"]))))
    samples = [Toy(a=i / 100) for i in range(2 * module.BLOCK + 3)]
    verdicts = list(LOADED.predict_columns(tabulate(samples, Toy)))
    assert seen == [module.BLOCK, module.BLOCK, 3]
    assert [v.probability for v in verdicts] == [v.probability for v in LOADED.predict(samples)]
    assert LOADED.outputs(tabulate(samples, Toy))["logit"].shape == (len(samples),)
    assert LOADED.predict([]) == []


def test_evidence_is_the_fall_of_the_logit_strongest_first() -> None:
    (verdict,) = LOADED.predict([Toy(**ATTACK)], explain=5)
    weights = {e.name: e.weight for e in verdict.evidence}
    # hidden, a number is 0 with state 2, which costs the toy 1; hidden, a protocol is code 0
    by_hand = {"a": 2 * np.tanh(3) + 1, "b": np.tanh(2) + 1, "protocol": 0.6}
    assert weights == pytest.approx(by_hand, abs=1e-5)
    assert [e.name for e in verdict.evidence] == ["a", "b", "protocol"]
    assert [(e.kind, e.value) for e in verdict.evidence] == [
        ("feature", "3.0"),
        ("feature", "2.0"),
        ("feature", "udp"),
    ]
    assert len(LOADED.predict([Toy(**ATTACK)], explain=1)[0].evidence) == 1
    assert LOADED.predict([Toy(**ATTACK)])[0].evidence == ()


def test_a_part_without_effect_is_no_evidence() -> None:
    (verdict,) = LOADED.predict([Toy(protocol="gre")], explain=5)
    assert "protocol" not in {e.name for e in verdict.evidence}


def test_each_row_of_a_batch_has_its_own_evidence() -> None:
    samples = [Toy(**raw) for raw in SAMPLES]
    together = LOADED.predict(samples, explain=3)
    for sample, verdict in zip(samples, together, strict=True):
        (alone,) = LOADED.predict([sample], explain=3)
        assert [e.name for e in verdict.evidence] == [e.name for e in alone.evidence]
        assert [e.weight for e in verdict.evidence] == pytest.approx(
            [e.weight for e in alone.evidence], abs=1e-6
        )


@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_answer_that_is_no_number_is_refused_never_a_verdict(place: int) -> None:
    samples = [Toy(), Toy(), Toy()]
    samples[place] = Toy(note="not finite")
    with pytest.raises(NonFiniteOutput):
        LOADED.predict(samples)


def test_stages_are_watched() -> None:
    seen: dict[str, float] = {}
    watched = Predictor.load(toy_artifact(), seen.__setitem__)
    watched.predict([Toy()], explain=1)
    assert set(seen) == {"encode", "infer", "decode", "explain"}
    assert all(0 < seconds < 5 for seconds in seen.values())


def changed(change: Callable[[dict], None], line: int = 2) -> bytes:
    lines = [json.loads(text) for text in golden_lines().splitlines()]
    change(lines[line - 1])
    return "\n".join(map(json.dumps, lines)).encode()


def nudge(by: float) -> Callable[[dict], None]:
    return lambda line: line["outputs"].update(logit=line["outputs"]["logit"] + by)


def test_golden_samples_are_replayed_and_counted() -> None:
    assert LOADED.golden == len(SAMPLES)
    assert LOADED.golden_samples()[0] == Toy(**ATTACK)
    assert Predictor.load(toy_artifact(toy_files(golden=changed(nudge(5e-6))))).golden == len(SAMPLES)


@pytest.mark.parametrize(
    "golden",
    [
        changed(nudge(3e-5)),
        changed(nudge(float("nan"))),
        changed(lambda line: line["sample"].update(a=-2.9)),
        changed(lambda line: line["outputs"].pop("category")),
        changed(lambda line: line["outputs"].update(category=[0.0])),
    ],
)
def test_another_answer_than_the_golden_one_refuses_the_artifact(golden: bytes) -> None:
    with pytest.raises(CheckFailed, match=r"golden\.jsonl:2: output '(logit|category)'"):
        Predictor.load(toy_artifact(toy_files(golden=golden)))


def test_other_weights_are_found_by_the_golden_samples() -> None:
    with pytest.raises(CheckFailed, match=r"golden\.jsonl:1"):
        Predictor.load(toy_artifact(toy_files(model=toy_model(weight=2.001))))


@pytest.mark.parametrize(
    ("golden", "fault"),
    [
        (b"", "missing or empty"),
        (b"{}\n", "golden.jsonl:1"),
        (golden_lines() + b"{not json\n", "golden.jsonl:7"),
        (changed(lambda line: line["sample"].update(a="x")), "golden.jsonl:2"),
        (changed(lambda line: line["sample"].update(unknown=1)), "golden.jsonl:2"),
        (changed(lambda line: line["outputs"].update(logit="x")), "golden.jsonl:2"),
        (changed(lambda line: line["outputs"].update(logit=[1, [2]])), "golden.jsonl:2"),
        (changed(lambda line: line.update(note=1)), "golden.jsonl:2"),
    ],
)
def test_golden_samples_that_cannot_be_read_refuse_the_artifact(golden: bytes, fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        Predictor.load(toy_artifact(toy_files(golden=golden)))


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"detector": "toi"}, r"no detector 'toi'; did you mean 'toy'\?"),
        ({"sample": "tory"}, r"no sample 'tory'; did you mean 'toy'\?"),
        ({"runtime": "chat"}, "'chat'"),
        ({"inputs": ()}, "inputs"),
    ],
)
def test_an_artifact_that_cannot_be_run_is_refused_by_name(changes: dict, fault: str) -> None:
    with pytest.raises(TocsinError, match=fault):
        Predictor.load(toy_artifact(**changes))


def test_an_encoder_of_another_detector_is_refused() -> None:
    files = toy_files() | {"encoder/more.json": b"{}"}
    with pytest.raises(InputError, match="toy encoder"):
        Predictor.load(toy_artifact(files))
