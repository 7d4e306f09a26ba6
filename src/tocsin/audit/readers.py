"""Baselines that read texts: n-grams with a linear model, and words that people would list.

Shapes: N texts.
"""

import re
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tocsin.core.errors import InputError

Predict = Callable[[Sequence[str]], np.ndarray]


@dataclass(frozen=True)
class Reader:
    """A fitted model: `predict` takes N texts and returns the probability of a positive, float64 [N]."""

    name: str
    predict: Predict
    description: str
    seconds: float


def fit_reader(name: str, texts: Sequence[str], label: np.ndarray, seed: int) -> Reader:
    """Fit one of READERS on N texts and their labels of 0 and 1; InputError where a class is missing."""
    if len(np.unique(label)) < 2:
        raise InputError(f"baselines need both classes in training, all {len(label)} rows are {label[:1]}")
    start = time.perf_counter()
    predict, description = READERS[name](texts, label, seed)
    return Reader(name, predict, description, time.perf_counter() - start)


def _fit_tfidf(texts: Sequence[str], label: np.ndarray, seed: int) -> tuple[Predict, str]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union

    how: dict[str, Any] = {"sublinear_tf": True, "min_df": 2, "dtype": np.float32}
    words = TfidfVectorizer(ngram_range=(1, 2), max_features=200_000, **how)
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), max_features=200_000, **how)
    model = make_pipeline(
        make_union(words, letters), LogisticRegression(C=4.0, max_iter=300, random_state=seed)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # reported below, in the description
        model.fit(texts, label)
    steps = int(model[-1].n_iter_[0])
    end = "" if steps < model[-1].max_iter else ", not converged"
    description = (
        f"TF-IDF of words (1-2) and characters (2-4), logistic regression, L2 C=4, {steps} iterations{end}"
    )
    return lambda unseen: np.asarray(model.predict_proba(list(unseen))[:, 1], dtype=np.float64), description


RULES: Mapping[str, str] = {
    "urgency": r"urgent|immediately|within \d+ ?h|24 ?h|suspend|expire|last chance|act now|final notice|haraka"
    r"|dringend|sofort|gesperrt|urgente|inmediat|suspendid|срочно|немедленно|заблокирован|立即|马上|尽快|緊急|acil",
    "credentials": r"passw|verify|confirm|account|log ?in|sign ?in|security|update your|pin\b|otp|kennwort|konto"
    r"|contrase|cuenta|verific|nenosiri|akaunti|thibitisha|парол|подтверд|счет|счёт|密码|验证|账户|登录|şifre|hesap",
    "money": r"winner|won|prize|free|cash|bonus|refund|invoice|payment|loan|gift|lottery|ushindi|zawadi|hongera"
    r"|gewinn|kostenlos|premio|gratis|ganado|выигр|приз|бесплатн|中奖|奖|免费|贷款|hediye|kazan",
    "links": r"https?://|www\.|bit\.ly|tinyurl|click|klick|clic|hapa|ссылк|点击|tıkla",
    "odd hosts": r"https?://\d+\.\d+\.\d+\.\d+|xn--|https?://[^\s/]*@|https?://[^\s/]*(?:-[^\s/]*){3}",
    "numbers to call": r"\b(?:call|text|txt|piga|llame|anruf|позвони|致电|拨打)\b.{0,20}\d{4}|\+?\d{10,}",
}
"""Kind -> words for it: what someone would write down without looking at data."""


def _fit_rules(texts: Sequence[str], label: np.ndarray, _seed: int) -> tuple[Predict, str]:
    """Count the kinds that a text shows; training only turns the count into a probability."""
    known = [re.compile(pattern, re.IGNORECASE) for pattern in RULES.values()]

    def count(found: Sequence[str]) -> np.ndarray:
        return np.array(
            [sum(rule.search(text) is not None for rule in known) for text in found], dtype=np.int64
        )

    points, size = count(texts), len(known) + 1
    rows, positives = np.bincount(points, minlength=size), np.bincount(points, label, minlength=size)
    share = np.maximum.accumulate((positives + label.mean()) / (rows + 1.0))
    return lambda unseen: share[
        count(unseen)
    ], f"how many of {len(known)} kinds of words occur: {', '.join(RULES)}"


READERS: Mapping[str, Callable[[Sequence[str], np.ndarray, int], tuple[Predict, str]]] = {
    "tfidf": _fit_tfidf,
    "rules": _fit_rules,
}
