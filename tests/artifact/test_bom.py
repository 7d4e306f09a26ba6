import json
from hashlib import sha256
from importlib.metadata import version
from typing import Any

import pytest
from cyclonedx.model.bom import Bom
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from artifact.examples import files, manifest
from tocsin.artifact.bom import write_bom

VALIDATOR = JsonStrictValidator(SchemaVersion.V1_6)


def bom(**changes: Any) -> dict[str, Any]:
    found = json.loads(write_bom(manifest(**changes), files()))
    assert isinstance(found, dict)
    return found


def test_it_is_valid_cyclonedx():
    assert VALIDATOR.validate_str(write_bom(manifest(), files()).decode()) is None


@pytest.mark.parametrize("spoil", [
    lambda found: found.update(surprise=1),
    lambda found: found["metadata"]["component"]["modelCard"].update(surprise=1),
    lambda found: found["metadata"]["component"]["components"][0]["hashes"][0].update(content="short"),
    lambda found: found["components"].append(found["components"][0]),
])  # fmt: skip
def test_the_validator_would_find_an_error(spoil: Any):
    found = bom()
    spoil(found)
    assert VALIDATOR.validate_str(json.dumps(found)) is not None


def test_the_library_reads_it():
    """Another reader's opinion: the reference implementation, which resolves references as well."""
    read = Bom.from_json(bom())
    assert {part.name for part in read.components} >= {"numpy", "pydantic", "pydantic-core"}
    assert read.validate()


def test_the_model_is_named_by_its_hash():
    component = bom()["metadata"]["component"]
    assert component["type"] == "machine-learning-model"
    (part,) = component["components"]
    assert part["name"] == "model.onnx"
    assert part["hashes"] == [{"alg": "SHA-256", "content": sha256(files()["model.onnx"]).hexdigest()}]


def test_metrics_come_with_their_intervals():
    metrics = bom()["metadata"]["component"]["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    bounds = {"lowerBound": "0.97", "upperBound": "0.99"}
    assert {"type": "roc_auc", "value": "0.98", "confidenceInterval": bounds} in metrics
    assert "ece" not in {metric["type"] for metric in metrics}


def test_what_lies_beneath_is_listed_as_installed():
    components = {part["name"]: part for part in bom()["components"]}
    assert components["pydantic"]["version"] == "2.14.3", "what trained it, not what is installed now"
    assert components["pydantic-core"]["version"] == version("pydantic-core")
    beneath = {line["ref"]: line.get("dependsOn", []) for line in bom()["dependencies"]}
    assert components["pydantic-core"]["purl"] in beneath[components["pydantic"]["purl"]]
    assert beneath["model"] == sorted(components[name]["purl"] for name in ("numpy", "pydantic"))


def test_a_local_build_is_looked_up_by_its_public_version():
    packages = {"torch": "2.13.0+cpu", "not-installed-anywhere": "1.0"}
    provenance = manifest().provenance.model_copy(update={"packages": packages})
    components = {part["name"]: part for part in bom(provenance=provenance)["components"]}
    assert components["torch"]["version"] == "2.13.0+cpu"
    assert components["torch"]["purl"] == "pkg:pypi/torch@2.13.0"
    assert "not-installed-anywhere" in components


def test_equal_input_gives_equal_bytes_and_a_new_model_a_new_number():
    assert write_bom(manifest(), files()) == write_bom(manifest(), files())
    one, two = (json.loads(write_bom(manifest(), files(seed)))["serialNumber"] for seed in (0, 1))
    assert one != two
