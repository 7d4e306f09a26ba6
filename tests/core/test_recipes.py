import copy
import itertools
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tocsin.core.errors import InputError
from tocsin.core.plugins import load_detector
from tocsin.core.recipe import Recipe
from tocsin.core.recipe_keys import flatten, holds, merge, nest
from tocsin.core.recipes import (
    HARDWARE,
    annotated,
    describe,
    dump_recipe,
    json_schema,
    load_default,
    load_recipe,
    parse_recipe,
    recipe_sha256,
    with_overrides,
)

pytestmark = pytest.mark.usefixtures("tiny")


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "my.yaml"
        path.write_text(text)
        return path

    return write


def test_a_file_needs_only_its_detector(write, tiny):
    recipe = load_recipe(write("detector: tiny\n")).recipe
    assert (recipe.model.width, recipe.stages["fit"].batch_size, str(recipe.stages["fit"].length)) == (
        8,
        16,
        "2 epochs",
    )
    assert recipe.compute.device == "cpu"


def test_a_partial_section_keeps_the_rest_of_it(write):
    recipe = load_recipe(
        write("detector: tiny\nstages: {fit: {optim: {schedule: constant}}}\nseeds: [1, 2]\n")
    ).recipe
    assert recipe.stages["fit"].optim.schedule == "constant"
    assert recipe.stages["fit"].batch_size == 16
    assert set(recipe.stages) == {"warm", "fit"}
    assert recipe.seeds == (1, 2), "lists replace"


LAYERS = ("default", "user", "overlay", "set")


@pytest.mark.parametrize("present", [c for n in range(1, 5) for c in itertools.combinations(LAYERS, n)])
def test_precedence(present: tuple[str, ...], write, tmp_path: Path, tiny, monkeypatch):
    """Every subset of the layers: the last one that says a value wins, and is named as its source."""
    threads = {name: i + 1 for i, name in enumerate(LAYERS)}
    overlay = tmp_path / "mine.yaml"
    overlay.write_text(
        f"compute: {{threads: {threads['overlay']}}}" if "overlay" in present else "compute: {}"
    )
    if "default" in present:
        default = tmp_path / "recipes" / "default.yaml"
        default.parent.mkdir()
        default.write_text(
            (tiny.folder / "recipes/default.yaml").read_text() + f"compute: {{threads: {threads['default']}}}"
        )
        monkeypatch.setattr("tocsin.core.recipes.load_detector", lambda _: replace(tiny, folder=tmp_path))
    user = f"compute: {{threads: {threads['user']}}}" if "user" in present else ""
    sets = [f"compute.threads={threads['set']}"] if "set" in present else []
    resolved = load_recipe(write(f"detector: tiny\nhardware: {overlay}\n{user}\n"), sets)
    last = max(present, key=LAYERS.index)
    assert resolved.recipe.compute.threads == threads[last]
    source = {"default": "default", "user": "my.yaml:3", "overlay": f"hardware {overlay}", "set": "--set"}
    assert resolved.sources["compute.threads"] == source[last]


def test_every_value_has_a_source(write):
    text = "detector: tiny\nvariants: {small: {model.width: 4}}\n"
    text += "stages:\n  fit:\n    optim:\n      groups: {'a.*': {weight_decay: 0}}\n"
    resolved = load_recipe(write(text), ["model.width=10", "seeds=[3]"])
    lines = {key: (value, origin) for key, value, origin in describe(resolved)}
    assert lines.keys() == dict(flatten(resolved.recipe.model_dump())).keys()
    assert lines["model.width"] == (10, "--set")
    assert lines["seeds"] == ([3], "--set")
    assert lines["hardware"] == ("cpu", "hardware cpu (auto)")
    assert lines["compute.device"] == ("cpu", "hardware cpu (auto)")
    assert lines["variants.small.model.width"] == (4, "my.yaml:2")
    assert lines["stages.fit.optim.groups.a.*.weight_decay"] == (0.0, "my.yaml:6")
    assert lines["stages.fit.optim.groups.a.*.learning_rate_scale"] == (1.0, "default")
    assert lines["stages.fit.batch_size"] == (16, "default")
    assert lines["export.int8"] == (False, "default")


@pytest.mark.parametrize("name", sorted(path.stem for path in HARDWARE.glob("*.yaml")))
def test_every_overlay_loads(name: str, write):
    automatic = load_recipe(write("detector: tiny\n"), detect=lambda: name)
    named = load_recipe(write(f"detector: tiny\nhardware: {name}\n"))
    assert automatic.recipe == named.recipe
    assert automatic.recipe.hardware == name
    assert automatic.sources["compute.precision"] == f"hardware {name} (auto)"
    assert automatic.recipe.compute.device == ("cpu" if name == "cpu" else "cuda")


def test_the_overlays_are_those_that_the_recipe_promises():
    promised = Recipe.model_fields["hardware"].description
    assert all(path.stem in promised for path in HARDWARE.glob("*.yaml"))
    assert len(list(HARDWARE.glob("*.yaml"))) == 5


COMPLAINTS = [
    ("name: x", ["my.yaml: detector: is missing"]),
    ("detector: 3", ["my.yaml: detector: 3 is not a name"]),
    ("detector: tinny", ["my.yaml:1: no detector 'tinny'; did you mean 'tiny'?"]),
    ("detector: tiny\nmodle: {}", ["my.yaml:2: modle: there is no such key; did you mean 'model'?"]),
    (
        "detector: tiny\nmodel: {widht: 4}",
        ["my.yaml:2: model.widht: there is no such key; did you mean 'width'?"],
    ),
    (
        "detector: tiny\nmodel:\n  inner:\n    dept: 4",
        ["my.yaml:4: model.inner.dept: there is no such key; did you mean 'depth'?"],
    ),
    (
        "detector: tiny\nstages:\n  fitt: {}",
        ["my.yaml:3: stages.fitt: tiny has no such stage; did you mean 'fit'?"],
    ),
    (
        "detector: tiny\nstages: {fit: {optim: {learning_rate: 3}}}",
        ["my.yaml:2: stages.fit.optim.learning_rate: 3 is above 1"],
    ),
    (
        "detector: tiny\nstages: {fit: {optim: {learning_rate: 0}}}",
        ["my.yaml:2: stages.fit.optim.learning_rate: 0 is not above 0"],
    ),
    ("detector: tiny\nsplit: {test: 1}", ["my.yaml:2: split.test: 1 is not below 1"]),
    ("detector: tiny\nsplit: {test: -1}", ["my.yaml:2: split.test: -1 is below 0"]),
    ("detector: tiny\nsplit: {test: much}", ["my.yaml:2: split.test: 'much' is not a number"]),
    ("detector: tiny\nsplit: {digits: 2.5}", ["my.yaml:2: split.digits: 2.5 is not a whole number"]),
    ("detector: tiny\nsplit:", ["my.yaml:2: split: None where keys and values should be"]),
    ("detector: tiny\nseeds: 3", ["my.yaml:2: seeds: 3 is not a list: write [3]"]),
    ("detector: tiny\nseeds: [1, x]", ["my.yaml:2: seeds.1: 'x' is not a whole number"]),
    ("detector: tiny\nmodel: {width: 7}", ["my.yaml:2: model: width 7 is odd"]),
    (
        "detector: tiny\nmodel: {kind: smal}",
        ["my.yaml:2: model.kind: 'smal' is not 'small' or 'large'; did you mean 'small'?"],
    ),
    ("detector: tiny\nhardware: a10", ["hardware: no overlay 'a10'; did you mean 'a100'?"]),
    ("detector: tiny\nhardware: none.yaml", ["none.yaml: there is no such file"]),
    (
        "detector: tiny\nvariants: {a: {model.widht: 4}}",
        ["my.yaml:2: variants.a: model.widht: there is no such key; did you mean 'model.width'?"],
    ),
    ("detector: tiny\nvariants: {a: {model.width: 7}}", ["my.yaml:2: variants.a: model: width 7 is odd"]),
    (
        "detector: tiny\nvariants: {a: {split.test: 0.5}}",
        ["my.yaml:2: variants.a: split.test: a variant shares this"],
    ),
    (
        "detector: tiny\nvariants: {a: {detector: x}}",
        ["my.yaml:2: variants.a: detector: a variant shares this"],
    ),
    (
        "detector: tiny\nevaluation:\n  baselines: [stump, ligthgbm]",
        ["my.yaml:3: evaluation.baselines.1: 'ligthgbm' is no baseline of tiny; did you mean 'lightgbm'?"],
    ),
    (
        "detector: tiny\nevaluation: {baselines: [ngrams]}",
        ["my.yaml:2: evaluation.baselines.0: 'ngrams' is"],
    ),
    (
        "detector: tiny\nexport: {ship: logistics}",
        ["my.yaml:2: export.ship: 'logistics' is nothing that can be shipped; did you mean 'logistic'?"],
    ),
    (
        "detector: tiny\nexport: {ship: stump}",
        ["my.yaml:2: export.ship: 'stump' is nothing that can be shipped (there are: model, average, "],
    ),
    (
        "detector: tiny\nexport:\n  ship: average\n  weights:\n    model: 1\n    logistik: 1",
        [
            "my.yaml:6: export.weights.logistik: 'logistik' is nothing that can be averaged;"
            " did you mean 'logistic'?"
        ],
    ),
    (
        "detector: tiny\nvariants: {a: {export.ship: oak}}",
        ["my.yaml:2: variants.a: export.ship: 'oak' is nothing that can be shipped"],
    ),
    (
        "detector: tiny\nevaluation: {baselines: [oak]}\nexport: {ship: oak}",
        ["my.yaml:2: evaluation.baselines.0: 'oak' is", "my.yaml:3: export.ship: 'oak' is"],
    ),
    (
        "detector: tiny\nsplit: {test: 2}\nexport:\n  golden: 1",
        ["my.yaml:2: split.test: 2 is not below 1", "my.yaml:4: export.golden: 1 is below 4"],
    ),
    (
        "detector: tiny\na: 1\nb: 2",
        ["my.yaml:2: a: there is no such key", "my.yaml:3: b: there is no such key"],
    ),
]


@pytest.mark.parametrize(("text", "complaints"), COMPLAINTS)
def test_what_is_wrong_is_said_in_one_line_each(text: str, complaints: list[str], write):
    with pytest.raises(InputError) as caught:
        load_recipe(write(text))
    lines = str(caught.value).splitlines()
    assert len(lines) == len(complaints)
    for line, complaint in zip(lines, complaints, strict=True):
        assert line.startswith(complaint)


@pytest.mark.parametrize(("text", "complaints"), COMPLAINTS)
def test_a_mapping_is_held_to_the_same_rules(text: str, complaints: list[str]):
    with pytest.raises(InputError) as caught:
        load_recipe(yaml.safe_load(text))
    lines = str(caught.value).splitlines()
    assert len(lines) == len(complaints)
    for line, complaint in zip(lines, complaints, strict=True):
        assert line.startswith(re.sub(r"my\.yaml(:\d+)?", "recipe", complaint))


def test_a_mapping_is_the_recipe_that_its_file_is(write):
    text = "detector: tiny\nmodel: {width: 10}\nseeds: [1, 2]\noutput: out\n"
    mapping = {"detector": "tiny", "model": {"width": 10}, "seeds": (1, 2), "output": Path("out")}
    kept = copy.deepcopy(mapping)
    found = load_recipe(mapping, ["compute.threads=2"])
    assert found.recipe == load_recipe(write(text), ["compute.threads=2"]).recipe
    assert (found.sources["model.width"], found.sources["compute.threads"]) == ("recipe", "--set")
    assert mapping == kept
    with pytest.raises(InputError, match=r"^recipe\.model\.width: complex cannot be written as JSON"):
        load_recipe({"detector": "tiny", "model": {"width": 1j}})


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("model.width", "--set model.width: write key=value"),
        ("=4", "--set =4: write key=value"),
        ("model.widht=4", "--set: model.widht: there is no such key; did you mean 'width'?"),
        ("model.width=65", "--set: model.width: 65 is above 64"),
        ("model.width=[", "--set model.width:1: "),
        ("stages.fitt.length=1 epoch", "--set: stages.fitt: tiny has no such stage"),
        ("model.width.x=4", "--set: model.width"),
        ("evaluation.baselines=[oak]", "--set: evaluation.baselines.0: 'oak' is no baseline of tiny"),
        ("detector=tiny", "--set detector: the detector is chosen in the recipe's file"),
        ("compute=3", "--set: compute: 3 where keys and values should be"),
    ],
)
def test_a_wrong_setting_is_named(setting: str, complaint: str, write):
    with pytest.raises(InputError) as caught:
        load_recipe(write("detector: tiny\n"), [setting])
    assert str(caught.value).startswith(complaint)


def test_settings_are_yaml_and_the_last_wins(write):
    sets = [
        "model.width=4",
        "model.width=6",
        "stages.fit.optim.learning_rate=1e-3",
        "stages.fit.optim.groups={'a.*': {}}",
        "hardware=t4",
        "split.hold_out=[DoS]",
    ]
    recipe = load_recipe(write("detector: tiny\n"), sets).recipe
    assert recipe.model.width == 6
    assert recipe.stages["fit"].optim.learning_rate == 1e-3
    assert list(recipe.stages["fit"].optim.groups) == ["a.*"]
    assert (recipe.hardware, recipe.compute.precision) == ("t4", "fp16")
    assert recipe.split.hold_out == ("DoS",)


def test_an_overlay_sets_nothing_but_the_hardware(write, tmp_path: Path):
    (tmp_path / "gpu.yaml").write_text("compute: {threads: 2}\nseeds: [7]\n")
    with pytest.raises(InputError, match=r"gpu\.yaml:2: seeds: an overlay sets only compute"):
        load_recipe(write(f"detector: tiny\nhardware: {tmp_path / 'gpu.yaml'}\n"))


def test_missing_and_unreadable_files_are_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"gone\.yaml: there is no such file"):
        load_recipe(tmp_path / "gone.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"bytes\.yaml: cannot be read"):
        load_recipe(tmp_path / "bytes.yaml")


def test_a_dumped_recipe_loads_back_equal(write):
    text = (
        "detector: tiny\nvariants: {small: {model.width: 4}}\nstages: {fit: {optim: {groups: {'a.*': {}}}}}\n"
    )
    recipe = load_recipe(
        write(text), ["compute.threads=1", "stages.fit.optim.learning_rate=0.1234567890123"]
    ).recipe
    assert parse_recipe(dump_recipe(recipe), "recipe.yaml") == recipe
    assert load_recipe(write(dump_recipe(recipe)), ["compute.threads=1"]).recipe == recipe


def test_the_hash_follows_every_value(write):
    recipe = load_recipe(write("detector: tiny\n")).recipe
    again = parse_recipe(dump_recipe(recipe), "x")
    hashes = [
        recipe_sha256(recipe),
        *(
            recipe_sha256(with_overrides(recipe, change))
            for change in (
                {"model.width": 4},
                {"seeds": [1]},
                {"stages.fit.length": "2 steps"},
                {"split.seed": 1},
            )
        ),
    ]
    assert recipe_sha256(again) == hashes[0]
    assert len(set(hashes)) == 5


def test_overrides_change_what_they_name_and_nothing_else(write):
    recipe = load_recipe(write("detector: tiny\n")).recipe
    changed = with_overrides(recipe, {"model.width": 4, "stages.fit.optim": {"schedule": "constant"}})
    before, after = (dict(flatten(r.model_dump(mode="json"))) for r in (recipe, changed))
    assert {k for k in before if before[k] != after[k]} == {"model.width", "stages.fit.optim.schedule"}
    for wrong in ("model.widht", "stages.cool.length", "model.width.x", "", "stages.fit.optim.groups.a"):
        with pytest.raises(InputError, match="there is no such key"):
            with_overrides(recipe, {wrong: 1})


def test_the_commented_recipe_is_the_default_one(tiny):
    text = annotated(tiny)
    assert parse_recipe(text, "new.yaml") == load_default(tiny)
    for key, _ in flatten(yaml.safe_load(text)):
        lines = [line for line in text.splitlines() if line.strip().startswith(f"{key.rpartition('.')[2]}:")]
        assert all("#" in line for line in lines), f"{key} has no comment"
    assert "in (0, 1]" in text
    assert "small | large" in text


def test_the_schema_for_editors_takes_what_we_take(write, tiny):
    schema = json_schema(tiny)
    assert schema["required"] == ["detector"]
    assert schema["properties"]["stages"]["propertyNames"] == {"enum": ["warm", "fit"]}
    assert "required" not in schema["$defs"]["DataSection"]
    assert schema["$defs"]["Config"]["properties"]["width"]["maximum"] == 64


def test_the_schema_for_editors_lists_the_baselines_that_there_are(tiny):
    tinys, phishings = json_schema(tiny)["$defs"], json_schema(load_detector("phishing"))["$defs"]
    reported = [
        s["EvaluationSection"]["properties"]["baselines"]["items"]["enum"] for s in (tinys, phishings)
    ]
    shipped = [s["ExportSection"]["properties"]["ship"]["enum"] for s in (tinys, phishings)]
    weighed = [
        s["ExportSection"]["properties"]["weights"]["anyOf"][0]["propertyNames"]["enum"]
        for s in (tinys, phishings)
    ]
    assert set(reported[1]) - set(reported[0]) == {"ngrams", "rules"}
    assert {"majority", "stump"} <= set(reported[0])
    assert shipped[0] == ["model", "average", "lightgbm", "logistic"]
    assert shipped[1] == ["model", "average", "ngrams", "rules", "lightgbm", "logistic"]
    assert weighed == [[name for name in names if name != "average"] for names in shipped]


def test_what_a_recipe_may_name_is_what_it_is_held_to(write, tiny):
    """Each name of the schema is taken, so that editor and program cannot part."""
    sections = json_schema(tiny)["$defs"]
    names = sections["EvaluationSection"]["properties"]["baselines"]["items"]["enum"]
    assert load_recipe(write(f"detector: tiny\nevaluation: {{baselines: [{', '.join(names)}]}}\n"))
    for name in sections["ExportSection"]["properties"]["ship"]["enum"]:
        assert load_recipe(write(f"detector: tiny\nexport: {{ship: {name}}}\n")).recipe.export.ship == name


TREES = st.recursive(
    st.integers(), lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3), max_leaves=6
)
MAPPINGS = st.dictionaries(st.sampled_from("abc"), TREES, max_size=3)


@given(MAPPINGS, MAPPINGS)
def test_merging(base, layer):
    merged = merge(base, layer)
    for dotted, value in flatten(layer):
        assert value == {} or dict(flatten(merged))[dotted] == value
    assert merge(merged, layer) == merged
    assert merge({}, base) == base
    assert all(holds(merged, dotted) for dotted, _ in flatten(merged))


def test_nesting():
    assert nest("a.b.c", 1) == {"a": {"b": {"c": 1}}}
