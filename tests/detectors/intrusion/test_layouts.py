"""The published files, read as their own samples and as flows: counts, quirks, labels, and what is denied."""

from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tocsin.core.errors import InputError
from tocsin.core.types import field_names, is_numeric
from tocsin.data.layouts import check_denied
from tocsin.data.sources import Reading, read
from tocsin.detectors.intrusion import DETECTOR
from tocsin.detectors.intrusion.layouts import CICIDS, FAMILY, NSL_KDD, UNSW
from tocsin.detectors.intrusion.layouts_flow import FLOW, Side, cicids_flow, measure, nsl_kdd_flow, unsw_flow

UNSW_FILE, CICIDS_FILE = "unsw_nb15_82332.parquet", "cicids2017_stratified12k.parquet"
WEB_FILE, QUIRK_FILE = "cicids2017_thursday_web.parquet", "Friday-WorkingHours-Afternoon-DDos.head.csv"

PUBLISHED = [  # sample, file, rows, attacks: as the publishers and data/README.md state them
    ("unsw", UNSW_FILE, 82_332, 45_332),
    ("nsl_kdd", "kddtest_plus.parquet", 22_544, 12_833),
    ("nsl_kdd", "kddtest_21.parquet", 11_850, 9_698),
    ("cicids", CICIDS_FILE, 12_001, 2_364),
    ("cicids", WEB_FILE, 7_267, 2_180),
    ("cicids", QUIRK_FILE, 9_998, 0),
    ("flow", CICIDS_FILE, 12_001, 2_364),
    pytest.param("nsl_kdd", "kddtrain_plus.parquet", 125_973, 58_630, marks=pytest.mark.release),
    pytest.param("flow", UNSW_FILE, 82_332, 45_332, marks=pytest.mark.release),
    pytest.param("flow", "kddtest_plus.parquet", 22_544, 12_833, marks=pytest.mark.release),
]


def first_row(path: Path) -> dict:
    return {name.strip(): value for name, value in pl.read_parquet(path, n_rows=1).row(0, named=True).items()}


@pytest.mark.parametrize(("sample", "file", "rows", "attacks"), PUBLISHED)
def test_published_files_are_read_whole(shared_data, sample, file, rows, attacks):
    dataset = read([shared_data / "intrusion" / file], DETECTOR.schemas[sample])
    assert not dataset.refused
    assert Counter(dataset.label.tolist()) == Counter({1: attacks, 0: rows - attacks})
    assert list(dataset.columns) == field_names(DETECTOR.schemas[sample].sample)
    assert ((dataset.category != "") == (dataset.label == 1)).all()


def test_columns_hold_the_published_values(shared_data):
    path = shared_data / "intrusion" / UNSW_FILE
    dataset = read([path], DETECTOR.schemas["unsw"], Reading(limit=500))
    frame = pl.read_parquet(path)[[int(i.rpartition(":")[2]) - 1 for i in dataset.ids]]
    for name, values in dataset.columns.items():
        assert (
            values.tolist() == frame[name].cast(pl.String if values.dtype == object else pl.Float64).to_list()
        )


def test_quirks_are_mended_and_counted(shared_data):
    dataset = read([shared_data / "intrusion" / CICIDS_FILE], DETECTOR.schemas["cicids"])
    frame = pl.read_parquet(shared_data / "intrusion" / CICIDS_FILE)
    rate, window = frame["Flow Bytes/s"], frame["Init_Win_bytes_forward"]
    repairs = dict(dataset.repairs)
    assert repairs["Flow Bytes/s: Infinity -> missing"] == rate.is_infinite().sum() > 0
    assert repairs["Init_Win_bytes_forward: negative -> missing"] == (window < 0).sum() > 0
    assert repairs["Flow Duration: negative -> missing"] == (frame[" Flow Duration"] < 0).sum() > 0
    absent = rate.is_null() | rate.is_infinite() | (rate < 0)
    assert (np.isnan(dataset.columns["flow_bytes_per_s"]) == absent.to_numpy()).all()


def test_csv_and_parquet_agree(shared_data):
    schema, folder = DETECTOR.schemas["cicids"], shared_data / "intrusion"
    ours, theirs = (read([folder / Path(CICIDS_FILE).with_suffix(s)], schema) for s in (".csv", ".parquet"))
    for name, values in ours.columns.items():
        if values.dtype == object:
            assert values.tolist() == theirs.columns[name].tolist()
        else:
            np.testing.assert_allclose(values, theirs.columns[name], rtol=1e-12)
    assert ours.category.tolist() == theirs.category.tolist()


def test_nsl_kdd_is_read_without_a_header(shared_data, tmp_path):
    frame = pl.read_parquet(shared_data / "intrusion" / "kddtest_plus.parquet").head(50)
    frame.write_csv(tmp_path / "KDDTest+.txt", include_header=False)
    dataset = read([tmp_path / "KDDTest+.txt"], DETECTOR.schemas["nsl_kdd"])
    kinds = ["" if kind == "normal" else kind for kind in frame["label"].cast(pl.String)]
    assert dataset.category.tolist() == kinds
    assert dataset.columns["src_bytes"].tolist() == frame["src_bytes"].to_list()


def test_every_published_attack_type_has_a_family(shared_data):
    files = [shared_data / "intrusion" / f"kdd{name}_plus.parquet" for name in ("train", "test")]
    kinds = pl.concat([pl.read_parquet(f, columns=["label"]).cast(pl.String) for f in files])[
        "label"
    ].unique()
    assert {*kinds} - {"normal"} == FAMILY.keys()


@pytest.mark.parametrize("schema", DETECTOR.schemas.values(), ids=lambda schema: schema.name)
def test_nothing_denied_is_a_feature(schema):
    check_denied(schema)
    for layout in schema.layouts.values():
        assert layout.denied.keys().isdisjoint(schema.sample.model_fields)


def test_the_features_are_those_published():
    counts = {name: len(schema.sample.model_fields) for name, schema in DETECTOR.schemas.items()}
    assert counts == {"flow": 12, "unsw": 42, "nsl_kdd": 41, "cicids": 77}
    texts = {
        n: [f for f in s.sample.model_fields if not is_numeric(s.sample, f)]
        for n, s in DETECTOR.schemas.items()
    }
    assert texts == {
        "flow": ["service"],
        "unsw": ["proto", "service", "state"],
        "nsl_kdd": ["protocol_type", "service", "flag"],
        "cicids": ["destination_port"],
    }
    for schema in DETECTOR.schemas.values():
        assert all(f.description and f.is_required() for f in schema.sample.model_fields.values())


@pytest.mark.parametrize(
    ("label", "row", "positive", "category"),
    [
        (UNSW.truth, {"label": 0, "attack_cat": "Normal"}, False, None),
        (UNSW.truth, {"label": "1", "attack_cat": " Backdoors "}, True, "Backdoor"),
        (UNSW.truth, {}, None, None),
        (NSL_KDD.truth, {"label": "normal."}, False, None),
        (NSL_KDD.truth, {"label": "neptune"}, True, "neptune"),
        (NSL_KDD.truth, {}, None, None),
        (CICIDS.truth, {"Label": "BENIGN"}, False, None),
        (CICIDS.truth, {"Label": "Web Attack \x96 XSS"}, True, "Web Attack XSS"),
        (CICIDS.truth, {"Label": "Web Attack � Sql Injection"}, True, "Web Attack Sql Injection"),
        (CICIDS.truth, {"Label": "Web Attack – Brute Force"}, True, "Web Attack Brute Force"),
        (CICIDS.truth, {}, None, None),
        (FLOW.truth, {"label": "attack", "category": "scan"}, True, "scan"),
        (FLOW.truth, {"label": "0", "category": None}, False, None),
        (FLOW.truth, {"label": 1.0}, True, None),
        (FLOW.truth, {}, None, None),
    ],
)
def test_labels(label, row, positive, category):
    assert label(row) == {"label": positive, "category": category}


@pytest.mark.parametrize("missing", [None, "", " ", float("nan")])
@pytest.mark.parametrize("label", [UNSW.truth, NSL_KDD.truth, CICIDS.truth, FLOW.truth])
def test_a_missing_label_is_a_bad_row_and_never_an_attack(label, missing):
    with pytest.raises(ValueError, match="the label is missing"):
        label({"label": missing, "Label": missing, "attack_cat": "Normal"})


@pytest.mark.parametrize(
    ("label", "row", "message"),
    [
        (UNSW.truth, {"label": 0, "attack_cat": "DoS"}, "contradicts"),
        (UNSW.truth, {"label": 1, "attack_cat": "Normal"}, "contradicts"),
        (UNSW.truth, {"label": 1, "attack_cat": "Wormz"}, "did you mean 'Worms'"),
        (UNSW.truth, {"label": 2, "attack_cat": "DoS"}, "neither 0 nor 1"),
        (NSL_KDD.truth, {"label": "neptun"}, "did you mean 'neptune'"),
        (CICIDS.truth, {"Label": "benign traffic"}, "is not known"),
        (CICIDS.truth, {"Label": "Web Attack - Other"}, "is not known"),
        (FLOW.truth, {"label": "yes"}, "neither 0 nor 1"),
    ],
)
def test_a_foreign_label_is_a_bad_row(label, row, message):
    with pytest.raises(ValueError, match=message):
        label(row)


@pytest.mark.parametrize(
    ("given", "wanted"), [(80, "80"), (80.0, "80"), ("80", "80"), ("80.0", "80"), (None, None)]
)
def test_ports_are_names(shared_data, given, wanted):
    row = first_row(shared_data / "intrusion" / CICIDS_FILE) | {"Destination Port": given}
    assert CICIDS.record(row)["destination_port"] == wanted


@pytest.mark.parametrize("given", [-1, 65536, 80.5, "http", "nan"])
def test_what_is_no_port_is_refused(shared_data, given):
    row = first_row(shared_data / "intrusion" / CICIDS_FILE) | {"Destination Port": given}
    with pytest.raises(ValueError, match=r"port|float|integer"):
        CICIDS.record(row)


def test_flows_of_all_publishers_say_the_same():
    """One DNS exchange of 2 + 2 packets, 60 and 200 bytes of payload, over 0.05 s, as each publishes it."""
    argus = {"dur": 0.05, "proto": "udp", "service": "dns", "spkts": 2, "dpkts": 2}
    argus |= {"sbytes": 60 + 2 * 28, "dbytes": 200 + 2 * 28, "sinpkt": 40.0, "dinpkt": 45.0}
    meter = {
        "Destination Port": 53,
        "Flow Duration": 50_000,
        "Total Fwd Packets": 2,
        "Total Backward Packets": 2,
    }
    meter |= {"Total Length of Fwd Packets": 60, "Total Length of Bwd Packets": 200}
    meter |= {"Fwd IAT Mean": 40_000, "Bwd IAT Mean": 45_000}
    assert unsw_flow(argus) == pytest.approx(cicids_flow(meter))
    assert unsw_flow(argus) == pytest.approx(
        {
            "duration_seconds": 0.05, "packets_per_second": 80, "bytes_per_second": 5200, "service": "dns",
            "forward_packets": 2, "forward_bytes": 60, "forward_mean_size": 30, "forward_interarrival_ms": 40,
            "backward_packets": 2, "backward_bytes": 200, "backward_mean_size": 100,
            "backward_interarrival_ms": 45,
        }
    )  # fmt: skip
    old = nsl_kdd_flow({"duration": "0", "src_bytes": "60", "dst_bytes": "200", "service": "domain_u"})
    assert old == dict.fromkeys(old) | {
        "duration_seconds": 0, "forward_bytes": 60, "backward_bytes": 200, "service": "dns"
    }  # fmt: skip


def test_what_has_no_meaning_is_missing():
    row = measure(0.0, Side(1, 40, 60_000), Side(0, 0, 0), None)
    absent = {name for name, value in row.items() if value is None}
    assert absent == {
        "backward_mean_size", "packets_per_second", "bytes_per_second",
        "forward_interarrival_ms", "backward_interarrival_ms", "service",
    }  # fmt: skip


def test_a_published_file_is_no_other_publishers(shared_data):
    with pytest.raises(InputError, match="no layout of 'nsl_kdd' has these columns"):
        read([shared_data / "intrusion" / UNSW_FILE], DETECTOR.schemas["nsl_kdd"])


def test_header_correction_brings_the_laboratories_together(shared_data):
    """Payload a packet of DNS queries: corrected, UNSW is as CICIDS2017 is; as published, 28 bytes off."""
    folder, schema = shared_data / "intrusion", DETECTOR.schemas["flow"]
    medians = []
    for file in (UNSW_FILE, CICIDS_FILE):
        flows = read([folder / file], schema, Reading(limit=8000))
        normal = (flows.columns["service"] == "dns") & (flows.label == 0)
        medians.append(np.nanmedian(flows.columns["forward_mean_size"][normal]))
    assert abs(medians[0] - medians[1]) < 14 < abs(medians[0] + 28 - medians[1])
