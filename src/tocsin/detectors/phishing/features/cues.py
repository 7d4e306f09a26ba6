"""Kinds of words that people would list without looking at data: hurry, credentials, money, links, numbers to call.

What a list says does not depend on the collection that a model was trained on: weak where the source of a message is
known, better at 0.5 than TF-IDF where it is not (docs/log.md).

Shapes: B texts, K kinds.
"""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from tocsin.detectors.phishing.features.folding import (
    LINK,
    MANY_PARTS,
    NUMERIC_HOST,
    PUNYCODE,
    SHORTENER,
    USER_PART,
)
from tocsin.features.tokenizer import LONE

CUES = "cues"
"""Name of the array: int32 [B, K], 1 where a text shows the kind."""


def _needle(word: str) -> str:
    """Look for a word at the beginning of words; signs, digits, and words of a script without spaces anywhere."""
    return f" {word}" if word[0].isalpha() and not LONE.match(word) else word


_SPOKEN: Mapping[str, str] = {
    "hurry": """
        urgen, immediate, suspend, expire, last chance, act now, final notice, within 00, deadline, 00 h, 00h
        haraka, dringend, sofort, gesperrt, inmediat, imediat, immédiat, bloque, bloccat, scade, segera, diblokir
        khẩn, khoá, acil, hemen, срочно, немедленно, заблокирован, عاجل, فورا, तुरंत
        立即, 马上, 馬上, 尽快, 盡快, 緊急, 至急
    """,
    "credentials": """
        passw, verif, confirm, account, log in, login, sign in, security alert, update your, otp, identity
        kennwort, konto, contraseña, cuenta, senha, conta, mot de passe, compte, nenosiri, akaunti, thibitisha
        kata sandi, akun, rekening, mật khẩu, tài khoản, şifre, hesab, парол, подтверд, счет, счёт, аккаунт
        حساب, كلمة المرور, खाता, पासवर्ड, 密码, 密碼, 验证, 驗證, 账户, 賬戶, 帳戶, 登录, 登錄, パスワード, アカウント
    """,
    "money": """
        winner, won, prize, free, cash, bonus, refund, invoice, payment, loan, gift, lottery, reward
        ushindi, zawadi, hongera, pesa, mkopo, gewinn, kostenlos, premio, gratis, ganad, prémio, prêmio, ganhou
        empréstimo, gagné, gratuit, remboursement, vinto, hadiah, pemenang, pinjaman, pulsa, trúng, thưởng
        hediye, kazan, kredi, bedava, bahis, выигр, приз, бесплатн, кредит, جائزة, مجان, इनाम, मुफ्त
        中奖, 中獎, 奖, 獎, 免费, 免費, 贷款, 貸款, 無料, 当選, $, £, €, ₹
    """,
    "links": f"""
        {LINK}, http, www., click, klick, clic, klik, tap here, hapa, tıkla, ссылк, nhấn, bấm, اضغط, क्लिक
        点击, 點擊, クリック
    """,
}
WORDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        **{
            kind: tuple(map(_needle, re.split(r"[,\n]\s*", words.strip()))) for kind, words in _SPOKEN.items()
        },
        "odd hosts": (NUMERIC_HOST, USER_PART, PUNYCODE, MANY_PARTS, SHORTENER),
        "numbers to call": ("00000",),
    }
)
"""Kind -> what is looked for in folded text, which is in lower case and has digits as 0 and links as shapes."""


def mark_cues(folded: Sequence[str]) -> np.ndarray:
    """Return int32 [B, K]: the kinds that each folded text shows."""
    framed = [f" {text} " for text in folded]
    shown = [[any(word in text for word in words) for words in WORDS.values()] for text in framed]
    return np.array(shown, dtype=np.int32).reshape(-1, len(WORDS))
