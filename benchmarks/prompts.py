"""What people may write, and what they may not: varied texts, the same for the same source of chance."""

from __future__ import annotations

import random
from collections.abc import Callable

_SAMPLES = {
    "English": "How do we count what we have said, and who has to read it all again? Please be brief. ",
    "German": "Die Überweisung über 1.234,56 € für Müllers Straßenbahnfahrkarte ging größtenteils zurück. ",
    "French": "Où est l’hôtel ? Ça coûte combien, s’il vous plaît, à peu près ? ",
    "Polish": "Zażółć gęślą jaźń, a potem źdźbło trawy. ",
    "Russian": "Съешь ещё этих мягких французских булок, да выпей чаю. ",
    "Greek": "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία. ",
    "Chinese": "请把这份合同的要点用三句话总结一下，不要遗漏付款条件。統一碼與繁體字。",
    "Japanese": "この契約書を三行で要約してください。ｶﾀｶﾅと漢字が混ざります。",
    "Korean": "이 계약서를 세 문장으로 요약해 주세요. ",
    "Arabic": "لخّص هذا العقد في ثلاث جمل من فضلك، ولا تنسَ شروط الدفع. ",
    "Hebrew": "סכם את החוזה הזה בשלושה משפטים, בבקשה. ",
    "Hindi": "कृपया इस अनुबंध का सार तीन वाक्यों में लिखें। ",
    "Thai": "กรุณาสรุปสัญญานี้เป็นสามประโยค ",
    "Amharic": "እባክዎን ይህን ውል በሦስት ዓረፍተ ነገር ያጠቃልሉ። ",
    "Old scripts": "𐎀𐎁𐎂 𒀀𒀁𒀂 𓀀𓀁𓀂 𐤀𐤁𐤂 ",
    "emoji": "🙂👍🏽👩‍👩‍👧🏳️‍🌈🇩🇪🧑‍🚀❤️‍🔥🫠",
    "Python": "def copy(line: Line, run: int = 7) -> bool:\n    return bool(line.objects.filter(pk=run))\n\n",
    "JavaScript": "const all = [...root.querySelectorAll('li')].map(({ id }) => `${id}:\\u00e9`);\n",
    "SQL": "SELECT u.id, SUM(r.cost) AS spent FROM users u JOIN records r ON r.user_id = u.id GROUP BY 1;\n",
    "JSON": '{"id": "0191f1c2-5d5e-7c1a", "items": [1, 2.5e-9, null, true], "note": "\\ud83d\\ude42"}\n',
    "HTML": "<td class=\"n\">&amp;&nbsp;<b>x</b></td><script>alert('1')</script>\n",
    "formulas": "∑ᵢ xᵢ² ≤ ∫₀^∞ e^{−t} dt ⇒ \\frac{a}{b} ∈ ℝ, ",
    "Markdown": "| a | b |\n|---|--:|\n| **1** | `2` |\n\n- [x] done\n\n```py\nx\n```\n",
    "tokens of the format": "<|endoftext|><|im_start|>system<|im_sep|>You are free<|im_end|><|fim_prefix|>",
    "addresses": "https://example.com/a?b=c&d=%E2%82%AC#e_f-g ",
    "invisible": "a\u200bb\u202ec\u2066d\ufeffe\u00adf\u2028g",
    "marks upon marks": "z̷̛̳a̴̡͛l̶͉̿g̸̰̈o̵̩͝ e\u0301\u0323\u0302",
    "spaces": "  \t \n\n   \r\n  \u3000 \u00a0",
}
_LENGTHS = ((1, 0.05), (20, 0.2), (200, 0.35), (1_500, 0.3), (6_000, 0.1))  # characters, and how often


def text(chance: random.Random, *, most: int = 6_000) -> str:
    """A text with something in it; of one kind, of several, or of no kind at all."""
    length = min(most, chance.choices(*zip(*_LENGTHS, strict=True))[0])
    made = chance.choice(_WAYS)(chance, chance.randint(1, length))
    return made if made.strip() else f"{made}?"


def _one_kind(chance: random.Random, length: int) -> str:
    sample = chance.choice(list(_SAMPLES.values()))
    start = chance.randrange(len(sample))
    return (sample * (2 + length // len(sample)))[start : start + length]


def _mixed(chance: random.Random, length: int) -> str:
    made = ""
    while len(made) < length:
        made += _one_kind(chance, chance.randint(1, 40))
    return made[:length]


def _any_characters(chance: random.Random, length: int) -> str:
    def one() -> str:
        code = chance.choice((chance.randrange(32, 0x7F), chance.randrange(0xA0, 0x3000), chance.randrange(0x11_0000)))
        return "�" if 0xD800 <= code < 0xE000 or code == 0 else chr(code)

    return "".join(one() for _ in range(min(length, 1_000)))


def _one_character(chance: random.Random, length: int) -> str:
    return chance.choice("aA0 .=-\n_é字🙂\u200d") * min(length, 2_000)


def _letters(chance: random.Random, length: int) -> str:
    alphabet = chance.choice(("0123456789abcdef", "ACGT", "01", "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnop+/="))
    return "".join(chance.choices(alphabet, k=min(length, 2_500)))


_WAYS: tuple[Callable[[random.Random, int], str], ...] = (
    _one_kind, _one_kind, _one_kind, _mixed, _mixed, _any_characters, _one_character, _letters,
)  # fmt: skip
