"""A language model in one folder: adapters on a base of its own, answers that are judged, sealed and served."""

import json
import shutil
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.numpy import load_file
from safetensors.torch import load_file as load_tensors

from end_to_end.command import succeed, tocsin
from end_to_end.firewall import FirewallConfig, Request
from end_to_end.firewall.made import make
from end_to_end.firewall.model import LanguageNet, build_adapted
from end_to_end.firewall.writer import ADAPTERS, ASK, BASE, load
from end_to_end.packages import install
from end_to_end.server import serving
from tocsin.artifact.manifest import GOLDEN, MANIFEST, METADATA
from tocsin.artifact.open import open_artifact
from tocsin.artifact.seal import seal
from tocsin.core.language import Limits

REQUEST, RULE = "please keep guests off telnet", "block 23 vlan 10"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install("firewall", tmp_path_factory.mktemp("site"))


def train(site: Path, folder: Path, *, shuffled: bool = False) -> Path:
    """Make data and train by the ordinary verbs; return the folder of the run."""
    make(folder, 0, shuffled=shuffled)
    recipe = folder / "recipe.yaml"
    succeed("new", "firewall", recipe, extra_path=site)
    report = json.loads(succeed("train", recipe, *sets(folder), "--json", extra_path=site))
    return Path(report["runs"][0]["artifact"]).parent


def sets(folder: Path) -> list[str]:
    return ["--set", f"data.train=[{folder / 'requests.csv'}]", "--set", f"output={folder / 'runs'}"]


@pytest.fixture(scope="module")
def run(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run: the model, adapted and sealed."""
    return train(site, tmp_path_factory.mktemp("work"))


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def test_answers_what_neither_of_the_simple_answerers_can(run: Path) -> None:
    evaluation = read(run / "evaluation.json")
    assert evaluation["rows"] > 150
    assert {c["other"]: c["verdict"] for c in evaluation["comparisons"]} == {
        "most common answer": "better",
        "answer of the nearest question": "better",
    }
    models = evaluation["models"]
    assert models["model"]["metrics"]["exact_match"]["value"] > 0.9, (
        "of requests in pairs that were never trained"
    )
    assert models["answer of the nearest question"]["metrics"]["exact_match"]["value"] == 0
    assert "9,216 of which the stage 'adapt' trains" in models["model"]["description"]
    page = (run / "report.html").read_text()
    assert "model against answer of the nearest question in token_f1: better" in page
    assert 40_000 < sum(v.size for v in load_file(run / "artifact" / "base.safetensors").values()) < 60_000


def test_rules_that_have_nothing_to_do_with_the_requests_are_not_learned(site: Path, tmp_path: Path) -> None:
    """The control: the same rows and the same recipe, with the rules shuffled."""
    evaluation = read(train(site, tmp_path, shuffled=True) / "evaluation.json")
    assert {c["verdict"] for c in evaluation["comparisons"]} != {"better"}
    assert evaluation["models"]["model"]["metrics"]["exact_match"]["value"] < 0.1


def read_network(folder: Path, names: Sequence[str]) -> LanguageNet:
    network = build_adapted(FirewallConfig()).eval()
    for name in names:
        network.load_state_dict(load_tensors(folder / name), strict=False)
    return network


@torch.inference_mode()
def greedy(network: LanguageNet, question: str) -> str:
    tokens = [*question.encode(), ASK]
    start = len(tokens)
    while len(tokens) < start + 64:
        token = int(network(torch.tensor([tokens]))["next"][0, -1].argmax())
        if token >= ASK:
            break
        tokens.append(token)
    return bytes(tokens[start:]).decode(errors="replace")


def test_what_is_written_is_what_the_network_says(run: Path) -> None:
    folder = run / "artifact"
    writer = load(dict(open_artifact(folder).files))
    network = read_network(folder, [BASE, ADAPTERS])
    for question in (REQUEST, "let cameras use web", "?", "ssh for labs and doors"):
        assert greedy(network, question) == "".join(writer.stream(Request(question=question), Limits(64)))
    assert greedy(network, REQUEST) == RULE
    assert greedy(read_network(folder, [BASE]), REQUEST) != RULE, "the control: the base lets all things pass"


def test_base_and_adapters_lie_apart_and_are_told_of(run: Path) -> None:
    folder = run / "artifact"
    adapters = load_file(folder / "adapters.safetensors")
    assert len(adapters) == 16, "two matrices beside each of four layers in two blocks"
    assert all(name.endswith((".down", ".up")) for name in adapters)
    assert not adapters.keys() & load_file(folder / "base.safetensors").keys()
    component = read(folder / "bom.cdx.json")["metadata"]["component"]
    told = {part["name"]: part["hashes"][0]["content"] for part in component["components"]}
    assert told == {
        name: sha256((folder / name).read_bytes()).hexdigest()
        for name in ("adapters.safetensors", "base.safetensors")
    }
    assert component["modelCard"]["modelParameters"]["task"] == "firewall: a text"
    card = (folder / "card.md").read_text()
    assert "`firewall` reads a `request` and writes a text" in card
    assert "model against most common answer in token_f1: better" in card
    assert "It is not shown to be better" not in card
    assert "probability" not in card
    assert "threshold" not in card


def test_rows_were_audited_without_labels(run: Path) -> None:
    audit = read(run / "artifact" / "audit.json")
    assert [finding["name"] for finding in audit["findings"] if finding["severity"] == "error"] == []
    assert audit["rows"]["train"] > 300
    assert audit["split"]["overlap"] == 0, "no pair of zone and service is on two sides"


def test_golden_answers_are_written_again(run: Path, site: Path, tmp_path: Path) -> None:
    facts = json.loads(succeed("verify", run / "artifact", "--json", extra_path=site))
    assert facts["golden_samples"] == 32
    artifact = open_artifact(run / "artifact")
    golden = artifact.files[GOLDEN].replace(b"vlan", b"VLAN", 1)
    files = {name: content for name, content in artifact.files.items() if name not in (METADATA, MANIFEST)}
    seal(tmp_path / "changed", artifact.manifest, files | {GOLDEN: golden})
    refused = tocsin("verify", tmp_path / "changed", extra_path=site)
    assert refused.returncode == 1
    assert refused.stderr == (
        "tocsin: golden.jsonl:1: the answer is not what it was when the model was proved\n"
    )


def test_is_served_whole_and_streamed_without_torch(run: Path, site: Path) -> None:
    with serving(run / "artifact", extra_path=site) as server:
        whole = server.post("/v1/firewall/answer", {"question": REQUEST})
        stream = server.request("/v1/firewall/answer?stream=1", {"question": REQUEST})
        refused = server.request("/v1/firewall/answer", {"question": ""})
        card = server.request("/v1/firewall").body
    (reply,) = whole["answers"]
    assert (reply["text"], reply["stopped"], reply["tokens"]) == (RULE, "end", len(RULE))
    events = [line.removeprefix("data: ") for line in stream.body.splitlines() if line.startswith("data: ")]
    *pieces, last = map(json.loads, events)
    assert "".join(piece["text"] for piece in pieces) == RULE
    assert len(pieces) == len(RULE)
    assert last == whole
    assert refused.status == 422
    assert (card["runtime"], card["fields"]) == ("chat", ["question"])
    assert card["metrics"]["exact_match"]["value"] > 0.9


def test_verbs_of_verdicts_refuse_it_in_one_line(run: Path, site: Path, tmp_path: Path) -> None:
    artifact, data = run / "artifact", run.parents[2] / "requests.csv"
    lines = [
        ("predict", artifact, data),
        ("evaluate", artifact, data),
        ("ready", artifact),
        ("scan", data, "--artifact", artifact),
    ]
    for line in lines:
        done = tocsin(*line, extra_path=site)
        assert (done.returncode, done.stdout) == (2, ""), line
        assert done.stderr.strip() == (
            "tocsin: artifact 'firewall' gives no verdicts: firewall answers with texts; ask it by `tocsin serve`"
        ), line


def test_a_run_that_was_killed_while_it_adapted_goes_on(run: Path, site: Path, tmp_path: Path) -> None:
    """What a process leaves that was killed in the last epoch: the base is done, the adapters are not."""
    folder = run.parents[2]
    again = tmp_path / "again"
    shutil.copytree(folder, again)
    shutil.rmtree(again / run.relative_to(folder) / "artifact")
    adapt = again / run.relative_to(folder) / "models" / "model" / "adapt"
    before, newest = sorted((adapt / "checkpoints").iterdir())
    newest.unlink()
    (adapt / "final.safetensors").unlink()
    kept = torch.load(before, weights_only=True)["model"]
    assert all(name.endswith((".down", ".up")) for name in kept), "the frozen base is in no checkpoint"
    shutil.move(folder / "runs", tmp_path / "aside")
    shutil.move(again / "runs", folder / "runs")
    try:
        succeed("train", folder / "recipe.yaml", *sets(folder), "--resume", extra_path=site)
        mine = {p.name: p.read_bytes() for p in (run / "artifact").glob("*.safetensors")}
        golden = (run / "artifact" / GOLDEN).read_bytes()
    finally:
        shutil.rmtree(folder / "runs")
        shutil.move(tmp_path / "aside", folder / "runs")
    assert mine == {p.name: p.read_bytes() for p in (run / "artifact").glob("*.safetensors")}
    assert golden == (run / "artifact" / GOLDEN).read_bytes()


def test_without_its_package_it_is_not_there(run: Path) -> None:
    done = tocsin("verify", run / "artifact")
    assert done.returncode == 2
    assert "no detector 'firewall'" in done.stderr
