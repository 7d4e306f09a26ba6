"""The authors' own FT-Transformer is the outside truth: same weights, same numbers."""

import pytest
import torch
from rtdl_revisiting_models import FTTransformer as Reference

from tocsin.detectors.intrusion.config import IntrusionConfig
from tocsin.detectors.intrusion.model import Features, FTTransformer, PiecewiseNumbers

CONFIG = IntrusionConfig(width=32, layers=3, heads=4, feedforward=48)
ROWS = 17


def reference(numeric: int, cardinalities: tuple[int, ...], outputs: int) -> Reference:
    return Reference(
        n_cont_features=numeric,
        cat_cardinalities=list(cardinalities),
        d_out=outputs,
        n_blocks=CONFIG.layers,
        d_block=CONFIG.width,
        attention_n_heads=CONFIG.heads,
        attention_dropout=0.2,
        ffn_d_hidden=CONFIG.feedforward,
        ffn_d_hidden_multiplier=None,
        ffn_dropout=0.1,
        residual_dropout=0.0,
    ).eval()


def renamed(theirs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Their parameter names -> ours; one table of embeddings in place of a list."""
    names = {
        "cls_embedding.weight": "trunk.cls",
        "cont_embeddings.": "trunk.numbers.value.",
        "cat_embeddings.bias": "trunk.classes.bias",
        "backbone.blocks.": "trunk.blocks.",
        "attention_normalization": "attention_norm",
        "ffn_normalization": "feedforward.0",
        "ffn.linear1": "feedforward.1",
        "ffn.linear2": "feedforward.4",
        "W_q": "query",
        "W_k": "key",
        "W_v": "value",
        "W_out": "out",
        "backbone.output.normalization": "head.0",
        "backbone.output.linear": "head.2",
    }
    ours, tables = {}, []
    for name, value in theirs.items():
        if name.startswith("cat_embeddings.embeddings"):
            tables.append(value)
            continue
        for old, new in names.items():
            name = name.replace(old, new)
        ours[name] = value
    return ours | ({"trunk.classes.table": torch.cat(tables)} if tables else {})


@pytest.mark.parametrize(("numeric", "cardinalities"), [(7, ()), (5, (4, 9)), (0, (3, 6, 5))])
def test_forward_equals_the_authors(numeric: int, cardinalities: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    theirs = reference(numeric, cardinalities, outputs=4)
    ours = FTTransformer(Features(numeric, cardinalities), CONFIG, 3).eval()
    untouched = ours.load_state_dict(renamed(theirs.state_dict()), strict=False)
    assert untouched.unexpected_keys == []
    # Theirs knows no absent cells.
    assert untouched.missing_keys == (["trunk.numbers.absent"] if numeric else [])
    x_BN = torch.randn(ROWS, numeric)
    ids = [torch.randint(0, c, (ROWS, 1)) for c in cardinalities]
    x_BC = torch.cat([torch.zeros(ROWS, 0, dtype=torch.int64), *ids], dim=1)
    expected_BK = theirs(x_BN if numeric else None, x_BC if cardinalities else None)
    found = ours(numeric=x_BN, state=torch.zeros(ROWS, numeric, dtype=torch.int64), categorical=x_BC)
    torch.testing.assert_close(found["logit"], expected_BK[:, 0], atol=1e-6, rtol=0)
    torch.testing.assert_close(found["category"], expected_BK[:, 1:], atol=1e-6, rtol=0)


def test_the_oracle_notices_a_wrong_weight() -> None:
    torch.manual_seed(0)
    theirs, ours = reference(3, (), outputs=1), FTTransformer(Features(3, ()), CONFIG, 0).eval()
    ours.load_state_dict(renamed(theirs.state_dict()), strict=False)
    with torch.no_grad():
        ours.trunk.blocks[-1].attention.key.weight[0, 0] += 0.1
    x_BN = torch.randn(ROWS, 3)
    found = ours(x_BN, torch.zeros(ROWS, 3, dtype=torch.int64), torch.zeros(ROWS, 0, dtype=torch.int64))
    assert (found["logit"] - theirs(x_BN, None)[:, 0]).abs().max() > 1e-6


def test_piecewise_encoding_equals_the_papers_equation() -> None:
    edges = torch.tensor([[-1.0, 0.0, 2.0, 2.0], [0.0, 1.0, 3.0, 7.0]])
    embedding = PiecewiseNumbers(edges.numpy(), width=8)
    x_BN = torch.tensor([[-5.0, 0.5], [0.5, 2.0], [9.0, 9.0], [-0.25, 7.0]])
    for row, x_N in zip(embedding(x_BN), x_BN, strict=True):
        for j, x in enumerate(x_N.tolist()):
            token_D = embedding.bias[j].clone()
            for t in range(3):
                low, high = edges[j, t].item(), edges[j, t + 1].item()
                share = 0.0 if high == low else min(max((x - low) / (high - low), 0.0), 1.0)
                token_D = token_D + share * embedding.weight[j, t]
            torch.testing.assert_close(row[j], token_D)
