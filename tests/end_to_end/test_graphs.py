"""A graph classifier in one folder: list fields, axes of several arrays, a score per node, the types of edges."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from end_to_end.command import succeed, tocsin
from end_to_end.graphs.decode import PATH
from end_to_end.graphs.demo import graph, make
from end_to_end.graphs.encode import GraphEncoder
from end_to_end.graphs.sample import NODES, Graph
from end_to_end.packages import install
from end_to_end.server import serving
from tocsin.artifact.open import open_artifact
from tocsin.core.axes import cut, each_row, join
from tocsin.core.heads import axes_of
from tocsin.core.types import Arrays, Evidence, tabulate
from tocsin.data.sources import read
from tocsin.serve.predictor import Predictor
from tocsin.workflows.readiness.importance import measure_importance
from tocsin.workflows.readiness.measurements import measure_extremes, measure_replay

LEAK = Graph(nodes=(2, 1, 0), edges=((0, 1, 0), (1, 2, 0)), lines=(3, 7, 9))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install("graphs", tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def artifact(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The detector, trained and sealed by the ordinary verbs, beside the same network without the types of edges."""
    folder = tmp_path_factory.mktemp("work")
    data = make(folder, 0)
    succeed("new", "graphs", folder / "recipe.yaml", extra_path=site)
    sets = ["--set", f"data.train=[{data}]", "--set", f"output={folder / 'runs'}"]
    report = json.loads(succeed("train", folder / "recipe.yaml", *sets, "--json", extra_path=site))
    return Path(report["runs"][0]["artifact"])


@pytest.fixture(scope="module")
def predictor(artifact: Path, site: Path) -> Iterator[Predictor]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(site)
        yield Predictor.load(open_artifact(artifact))


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """Graphs that nobody trained on."""
    return [json.loads(line) for line in make(tmp_path_factory.mktemp("new"), 1, 60).read_text().splitlines()]


def samples(lines: Sequence[dict]) -> list[Graph]:
    return [Graph(**{name: line[name] for name in Graph.model_fields}) for line in lines]


def marked(evidence: Sequence[Evidence]) -> list[int]:
    return [piece.place.start for piece in evidence]


def test_only_the_type_of_an_edge_tells(artifact: Path) -> None:
    """The network without types, and trees on counts of nodes and edges, stay at chance."""
    models = json.loads((artifact / "evaluation.json").read_text())["models"]
    auc = {name: model["metrics"]["roc_auc"]["value"] for name, model in models.items()}
    assert auc["model"] > 0.98
    assert auc["untyped"] < 0.6
    assert auc["lightgbm"] < 0.6


def test_the_audit_finds_no_other_way_to_tell(artifact: Path) -> None:
    audit = json.loads((artifact / "audit.json").read_text())
    assert {column["kind"] for column in audit["columns"]} == {"sequence"}
    assert not [finding for finding in audit["findings"] if "shortcut" in finding["name"]
                and finding["severity"] != "info"]  # fmt: skip


def test_it_was_exported_at_several_sizes_and_keeps_golden_rows_at_their_own(artifact: Path) -> None:
    assert {"1", "2", "7", "100"} < set(json.loads((artifact / "manifest.json").read_text())["parity"])
    golden = [json.loads(line) for line in (artifact / "golden.jsonl").read_text().splitlines()]
    assert len({len(line["sample"]["nodes"]) for line in golden}) > 3
    assert all(len(line["outputs"][PATH]) == len(line["sample"]["nodes"]) for line in golden)


def widen(arrays: Arrays) -> Arrays:
    """Put five more nodes and edges of padding behind each row."""
    pads = {"nodes": 0, "edges": -1, "kinds": 0}
    return {
        name: np.pad(values, [(0, 0), (0, 5)] + [(0, 0)] * (values.ndim - 2), constant_values=pads[name])
        if name in pads
        else values
        for name, values in arrays.items()
    }


def test_alone_together_and_padded_give_the_same_scores(predictor: Predictor, lines: list[dict]) -> None:
    columns, axes = tabulate(samples(lines), Graph), axes_of(predictor.heads)
    arrays = predictor.encoder.encode(columns)
    together = list(each_row(predictor.runtime.run(arrays), axes, arrays))
    whole = predictor.runtime._session.run(["logit", PATH], widen(arrays))  # past the runtime, which cuts
    padded = list(each_row({"logit": whole[0], PATH: whole[1][:, : arrays["nodes"].shape[1]]}, axes, arrays))
    for row, (one, other) in enumerate(zip(together, padded, strict=True)):
        alone = predictor.outputs({name: values[row : row + 1] for name, values in columns.items()})
        assert alone[PATH].shape == (1, len(lines[row]["nodes"]))
        for name in alone:
            np.testing.assert_allclose(one[name], alone[name], rtol=1e-5, atol=1e-5)
            np.testing.assert_allclose(other[name], alone[name], rtol=1e-5, atol=1e-5)


def test_a_node_and_an_edge_of_zero_are_as_real_as_others(predictor: Predictor) -> None:
    """The last node is a sink, which is 0; the last edge leads from 0 to 0 and flows, which is 0 too."""
    ends_in_zero = Graph(nodes=(1, 1, 2, 0), edges=((2, 3, 0), (0, 0, 0)), lines=(1, 2, 3, 4))
    encoder = GraphEncoder()
    arrays = encoder.encode(tabulate([ends_in_zero, LEAK], Graph))
    apart = [cut({n: v[row : row + 1] for n, v in arrays.items()}, encoder.axes) for row in range(2)]
    assert apart[0]["nodes"].tolist() == [[1, 1, 2, 0]]
    assert apart[0]["edges"].tolist() == [[[2, 3], [0, 0]]]
    assert apart[1]["nodes"].tolist() == [[2, 1, 0]]
    again = join(apart, encoder.axes)
    assert all(again[name].tobytes() == values.tobytes() for name, values in arrays.items())
    score = predictor.runtime.run(apart[0])
    assert score[PATH].shape == (1, 4)
    without = Graph(nodes=(1, 1, 2, 0), edges=((2, 3, 0),), lines=(1, 2, 3, 4))
    moved = predictor.runtime.run(encoder.encode(tabulate([without], Graph)))
    assert not np.allclose(moved[PATH][0, 0], score[PATH][0, 0]), "the edge from 0 to 0 was heard"


def test_a_leak_shows_its_nodes_and_their_lines(predictor: Predictor, lines: list[dict]) -> None:
    graphs = samples(lines)
    for graph_, line, verdict in zip(graphs, lines, predictor.predict(graphs), strict=True):
        assert verdict.label == ("leak" if line["leaks"] else "clean")
        assert marked(verdict.evidence) == sorted(line["path"])
        for piece in verdict.evidence:
            assert (piece.kind, piece.place.where) == ("path", "nodes")
            assert piece.place.line == graph_.lines[piece.place.start]
            assert piece.value == NODES[graph_.nodes[piece.place.start]]


def test_where_a_clean_graph_has_no_path_its_parts_are_hidden(
    predictor: Predictor, lines: list[dict]
) -> None:
    clean = samples([line for line in lines if not line["leaks"]])[0]
    (verdict,) = predictor.predict([clean], explain=3)
    assert 0 < len(verdict.evidence) <= 3
    assert {piece.kind for piece in verdict.evidence} == {"passage"}


def test_readiness_measures_it(predictor: Predictor, tmp_path: Path) -> None:
    """Nodes are moved to graphs that have room for them only; lines say where, so they move no answer."""
    data = read([make(tmp_path, 2, 300)], predictor.schema)
    replay, extremes = measure_replay(predictor), measure_extremes(predictor)
    assert replay["largest_difference"] < 1e-5
    assert replay["reloads_equal"]
    assert extremes["answered"] > 0
    assert not extremes["broken"]
    importance = measure_importance(predictor, data, 0)
    loss = {feature["name"]: feature["loss"] for feature in importance["features"]}
    assert loss["edges"] > 0.05
    assert importance["dead"] == ["lines"]


def test_predict_verify_and_scan(artifact: Path, site: Path, lines: list[dict], tmp_path: Path) -> None:
    succeed("verify", artifact, extra_path=site)
    file = tmp_path / "new.jsonl"
    file.write_text("".join(json.dumps({n: line[n] for n in Graph.model_fields}) + "\n" for line in lines))
    succeed("predict", artifact, file, "--output", tmp_path / "verdicts.jsonl", extra_path=site)
    verdicts = [json.loads(line) for line in (tmp_path / "verdicts.jsonl").read_text().splitlines()]
    assert [v["label"] == "leak" for v in verdicts] == [line["leaks"] for line in lines]
    file.write_text(file.read_text() + "no graph\n")
    done = tocsin("scan", "--artifact", artifact, file, "--format", "jsonl", extra_path=site)
    assert done.returncode == 10, done.stderr
    *found, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert [f["target"] for f in found] == [f"{file}:{number}" for number in range(1, len(lines) + 1)]
    assert [[e["place"]["start"] for e in f["verdict"]["evidence"]] for f in found] == [
        sorted(line["path"]) for line in lines
    ]
    assert last["target"] == f"{file}:{len(lines) + 1}"
    assert last["error"] == "nodes: Field required"


def test_it_is_served(artifact: Path, site: Path) -> None:
    with serving(artifact, extra_path=site) as server:
        answer = server.post("/v1/graphs/predict", LEAK.model_dump(mode="json"))
        refused = server.request("/v1/graphs/predict", {"nodes": [0], "edges": [[0, 1, 0]], "lines": [1]})
    assert answer["verdicts"][0]["label"] == "leak"
    assert [e["name"] for e in answer["verdicts"][0]["evidence"]] == [
        "nodes[0:1]:3",
        "nodes[1:2]:7",
        "nodes[2:3]:9",
    ]
    assert refused.status == 422


def test_the_made_graphs_differ_in_nothing_else() -> None:
    """Leaks and others have the same nodes, edges without types, and types without edges."""
    import random

    for seed in range(50):
        leak, clean = (graph(leaks, random.Random(seed)) for leaks in (True, False))
        assert sorted(leak["nodes"]) == sorted(clean["nodes"])
        assert sorted(kind for *_, kind in leak["edges"]) == sorted(kind for *_, kind in clean["edges"])
