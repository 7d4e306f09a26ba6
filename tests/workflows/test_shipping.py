"""A baseline ships like a network: packaged, verified, served, explained; and so does its average with the network."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from end_to_end.server import serving
from tocsin.artifact.open import open_artifact
from tocsin.core.baseline import Inputs
from tocsin.core.encoder import Asked
from tocsin.core.errors import CheckFailed, InputError
from tocsin.core.heads import probability
from tocsin.core.recipes import with_overrides
from tocsin.core.types import tabulate
from tocsin.detectors.intrusion.demo import make
from tocsin.metrics.evaluation import EvaluationReport
from tocsin.monitor.heads import Answers
from tocsin.monitor.profile import PROFILE, Observed, parse_profile, profile
from tocsin.serve.predictor import Predictor
from tocsin.workflows.training.kinds.decision import judge_members
from tocsin.workflows.training.ladder import check_ladder, fit_ladder
from tocsin.workflows.training.members import Job, Member, encode_parts, fit_member
from tocsin.workflows.training.package import Shown, package
from tocsin.workflows.training.prepare import Prepared, prepare, resolve_recipe
from tocsin.workflows.training.provenance import make_provenance
from tocsin.workflows.training.shipping import Ladder, choose_shipped
from tocsin.workflows.training.trackers import Tracking
from tocsin.workflows.training.trials import Fitted
from workflows.reference_run import RECIPE

BASELINES = "majority, stump, logistic, lightgbm"
KINDS = ("logistic", "lightgbm", "average")


def quiet(message: str) -> None: ...


@dataclass(frozen=True)
class Run:
    """A network and its baselines, fitted once."""

    prepared: Prepared
    network: Member
    ladder: Ladder

    def shipping(self, kind: str, **changes: object) -> Member:
        recipe = with_overrides(self.network.job.recipe, {"export.ship": kind, **changes})
        return replace(self.network, job=replace(self.network.job, recipe=recipe))

    def ship(self, kind: str) -> Member:
        return choose_shipped(self.shipping(kind), self.ladder, quiet)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("shipping")
    data = make(folder, 0, rows=6000)
    (folder / "recipe.yaml").write_text(RECIPE)
    sets = [
        f"data.train=[{data}]",
        f"output={folder}",
        "export.ship=average",
        f"evaluation.baselines=[{BASELINES}]",
    ]
    prepared = prepare(resolve_recipe(folder / "recipe.yaml", sets).recipe)
    fold = prepared.folds[0]
    models = folder / "models" / "model"
    job = Job("model", prepared.recipe, models, 42, False, fold.fingerprint, Tracking())
    network = fit_member(prepared, encode_parts(prepared, fold, prepared.recipe), job, quiet)
    return Run(prepared, network, fit_ladder(network, quiet))


@pytest.fixture(scope="module", params=KINDS)
def shipped(run: Run, request: pytest.FixtureRequest) -> Member:
    return run.ship(request.param)


@pytest.fixture(scope="module")
def evaluation(run: Run, shipped: Member) -> EvaluationReport:
    members = {"model": run.network, shipped.job.name: shipped}
    fitted = Fitted(run.prepared, run.prepared.folds[0], shipped.job, {})
    return judge_members(fitted, members, shipped.job, run.ladder)


@pytest.fixture(scope="module")
def predictor(run: Run, shipped: Member, evaluation: EvaluationReport, tmp_path_factory) -> Predictor:
    fold = run.prepared.folds[0]
    proof = Shown(evaluation, {}, make_provenance(fold, shipped.job), run.prepared.test(fold))
    folder = tmp_path_factory.mktemp("sealed") / "artifact"
    package(shipped, run.prepared, proof, folder, None)
    return Predictor.load(open_artifact(folder))


def test_the_network_ships_unless_the_recipe_says_otherwise(run: Run) -> None:
    network = run.shipping("model")
    assert choose_shipped(network, {}, quiet) is network


def test_the_exported_model_answers_as_its_library(run: Run, shipped: Member) -> None:
    test, encoder = run.network.parts.test, run.network.parts.encoder
    if shipped.job.name == "average":
        other = run.ship("lightgbm")
        logit = run.network.test["logit"] / run.network.temperature + other.test["logit"] / other.temperature
        wanted = probability(logit / 2, 1.0)
    else:
        wanted = run.ladder[shipped.job.name].model.predict(Inputs(encoder, test.arrays))
    assert len(wanted) > 1500
    assert np.abs(probability(shipped.test["logit"], 1.0) - wanted).max() < 1e-5
    assert 0 <= max(shipped.parity.values()) < 1e-5
    assert len(shipped.parity) >= 4


def test_the_reported_scores_are_those_of_the_sealed_file(
    predictor: Predictor, run: Run, evaluation: EvaluationReport
) -> None:
    test = run.prepared.test(run.prepared.folds[0])
    verdicts = list(predictor.predict_columns(test.columns))
    flagged = np.array([v.label == "attack" for v in verdicts])
    primary = evaluation.models[evaluation.primary]
    assert flagged.sum() == primary.confusion.true_positives + primary.confusion.false_positives
    assert ((flagged) & (test.label == 1)).sum() == primary.confusion.true_positives


def test_who_serves_sees_the_rows_as_the_profile_does(predictor: Predictor, run: Run) -> None:
    sealed = parse_profile(predictor.artifact.files[PROFILE])
    valid, encoder = run.network.parts.valid, predictor.encoder
    asked = Asked(valid.columns, encoder.encode(valid.columns), predictor.heads)
    answers = Answers(predictor.outputs(valid.columns), asked, predictor.artifact.manifest.calibration)
    seen = profile(Observed(answers, encoder.watch(asked.arrays), valid.facets))
    assert (seen.rows, seen.columns, seen.arrays) == (sealed.rows, sealed.columns, sealed.arrays)
    assert seen.reference.watched == sealed.reference.watched
    assert seen.reference.columns == sealed.reference.columns
    assert seen.heads.keys() == sealed.heads.keys() == {head.name for head in predictor.heads}
    assert seen.heads["logit"].above == sealed.heads["logit"].above > 0
    assert seen.heads["logit"].quantiles == pytest.approx(sealed.heads["logit"].quantiles, abs=1e-6)
    assert seen.reference.scores["logit"] == pytest.approx(sealed.reference.scores["logit"], abs=1e-6)
    assert len(set(sealed.reference.scores["logit"])) > 100


def test_a_baseline_names_no_kind_and_the_average_does(predictor: Predictor, shipped: Member) -> None:
    kinds = {v.category for v in predictor.predict(predictor.golden_samples()) if v.label == "attack"}
    assert (kinds == {None}) == (shipped.job.name != "average")
    assert {spec.name for spec in predictor.artifact.manifest.inputs} == {"numeric", "state", "categorical"}


def test_it_explains_itself_and_answers_alone_as_among_others(predictor: Predictor) -> None:
    pool = predictor.golden_samples()
    together = predictor.predict(pool, explain=3)
    assert any(verdict.evidence for verdict in together)
    for sample, verdict in zip(pool, together, strict=True):
        assert predictor.predict([sample])[0].probability == pytest.approx(verdict.probability, abs=1e-6)


def test_what_is_missing_is_answered(predictor: Predictor) -> None:
    kind = predictor.schema.sample
    empty = kind.model_validate(dict.fromkeys(kind.model_fields))
    assert 0 <= predictor.predict([empty])[0].probability <= 1
    assert np.isfinite(predictor.outputs(tabulate([empty], kind))["logit"]).all()


def test_a_baseline_that_is_shipped_stays_a_baseline(evaluation: EvaluationReport) -> None:
    kinds = {name: model.kind for name, model in evaluation.models.items()}
    assert next(iter(kinds)) == evaluation.primary
    assert kinds["model"] == "model"
    assert kinds[evaluation.primary] == ("model" if evaluation.primary == "average" else "baseline")
    assert set(kinds) >= {"majority", "stump", "logistic", "lightgbm", "model"}


def test_only_a_network_seals_weights_of_pytorch(predictor: Predictor, shipped: Member) -> None:
    assert ("model.safetensors" in predictor.artifact.files) == (shipped.job.name == "average")


@pytest.mark.parametrize("kind", ["logistic", "lightgbm", "average"])
def test_a_library_that_answers_otherwise_stops_the_export(run: Run, kind: str) -> None:
    """The parity gate: the same trees, and a `predict` that is 0.001 away."""
    name = "logistic" if kind == "logistic" else "lightgbm"
    honest = run.ladder[name]

    class Moved:
        """The same model, and another answer."""

        def __getattr__(self, attribute: str) -> object:
            return getattr(honest.model, attribute)

        def predict(self, inputs: Inputs) -> np.ndarray:
            return honest.model.predict(inputs) * 0.999

    choose_shipped(run.shipping(kind), {name: honest}, quiet)
    with pytest.raises(CheckFailed, match=f"{name} as ONNX differs from its library"):
        choose_shipped(run.shipping(kind), {name: replace(honest, model=Moved())}, quiet)


def test_an_encoder_that_says_no_parts_cannot_ship_a_baseline(run: Run) -> None:
    class Opaque:
        """An encoder that flattens in a way of its own."""

        def __init__(self, encoder: object) -> None:
            self.flatten = encoder.flatten  # type: ignore[attr-defined]

    network = run.shipping("lightgbm")
    parts = replace(network.parts, encoder=Opaque(network.parts.encoder))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="cannot be flattened"):
        choose_shipped(replace(network, parts=parts), run.ladder, quiet)
    check_ladder(network.job.recipe, network.parts)
    with pytest.raises(
        InputError, match=r"export\.ship: lightgbm reads flat features, and the arrays of intrusion"
    ):
        check_ladder(network.job.recipe, parts)


def test_a_baseline_that_cannot_read_the_samples_is_refused_before_training(run: Run) -> None:
    network = run.shipping("model", **{"evaluation.baselines": ["majority", "tfidf"]})
    with pytest.raises(
        InputError, match=r"evaluation\.baselines: tfidf reads texts, and these samples are none"
    ):
        check_ladder(network.job.recipe, network.parts)


def test_weights_say_how_much_each_part_counts(run: Run) -> None:
    boosted, linear = (run.ship(name) for name in ("lightgbm", "logistic"))
    weights = {"logistic": 0.5, "model": 2, "lightgbm": 1.5}
    mixed = choose_shipped(run.shipping("average", **{"export.weights": weights}), run.ladder, quiet)
    calibrated = [m.valid["logit"].astype(np.float64) / m.temperature for m in (run.network, boosted, linear)]
    wanted = np.average(calibrated, axis=0, weights=[2, 1.5, 0.5])
    np.testing.assert_allclose(mixed.valid["logit"], wanted, atol=1e-4)
    plain = run.ship("average").valid["logit"]
    np.testing.assert_allclose(plain, (calibrated[0] + calibrated[1]) / 2, atol=1e-4)
    assert np.abs(plain - wanted).max() > 0.1


@pytest.mark.parametrize(
    "weights", [{"lightgbm": 1}, {"model": 1}, {"model": 1, "ngrams": 0}, {"model": 1, "oak": 1}]
)
def test_weights_are_those_of_the_model_and_a_baseline(run: Run, weights: dict[str, float]) -> None:
    with pytest.raises(InputError, match=r"export\.weights"):
        run.shipping("average", **{"export.weights": weights})


def test_weights_of_what_is_no_average_are_refused(run: Run) -> None:
    with pytest.raises(InputError, match="lightgbm is shipped"):
        run.shipping("lightgbm", **{"export.weights": {"model": 1, "lightgbm": 1}})


def test_what_is_shipped_is_fitted_though_it_is_not_reported(run: Run) -> None:
    network = run.shipping("lightgbm", **{"evaluation.baselines": ["majority"]})
    assert set(fit_ladder(network, quiet)) == {"majority", "lightgbm"}


def test_a_trained_recipe_ships_it(reference, tmp_path: Path) -> None:
    """Through the front door: the session's reference run ships LightGBM."""
    files = open_artifact(reference.path).files
    assert EvaluationReport.model_validate_json(files["evaluation.json"]).primary == "lightgbm"
    assert b"TreeEnsemble" in files["model.onnx"]


def test_it_is_served_by_a_process_without_torch(reference, tmp_path: Path) -> None:
    predictor = reference.predictor()
    samples = [sample.model_dump(mode="json") for sample in predictor.golden_samples()]
    with serving(reference.path) as server:
        found = server.post("/v1/intrusion/predict", samples)["verdicts"]
        explained = server.post("/v1/intrusion/predict?explain=2", samples[0])["verdicts"][0]
    wanted = predictor.predict(predictor.golden_samples())
    assert [v["probability"] for v in found] == pytest.approx([v.probability for v in wanted], abs=1e-6)
    assert len(explained["evidence"]) == 2
