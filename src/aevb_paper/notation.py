"""Formulas are written once, in TeX; a terminal shows them as plain text."""

import re

__all__ = ["plain_formula", "plain_text"]

_SYMBOLS = {
    r"\log": "log ", r"\mathbb{E}": "E", r"\mathcal{L}": "L", r"\mathcal{N}": "N",
    r"\|": " || ", r"\theta": "θ", r"\phi": "φ", r"\mu": "μ", r"\sigma": "σ", r"\varepsilon": "ε",
    r"\Sigma": "Σ", r"\odot": " ⊙ ", r"\sim": " ~ ", r"\le": " ≤ ", r"\ge": " ≥ ", r"\sum": "sum",
    r"\partial": "∂", r"\nabla": "∇", r"\arg\min": "argmin", r"\tanh": "tanh",
    r"\to": " → ", r"\pm": "±", r"\rho": "ρ", r"\,": " ",
    r"\quad": "  ", "^{*}": "*",
}  # fmt: skip
#: The longest first; \le is no part of \left.
_ANY = re.compile(
    "|".join(
        re.escape(s) + "(?![a-zA-Z])" * s[-1].isalpha()
        for s in sorted(_SYMBOLS, key=len, reverse=True)
    )
)


def plain_formula(tex: str) -> str:
    r"""A formula in TeX as one line of text.

    >>> plain_formula(r"\log p(x) \ge \mathbb{E}_{q}[\log p(x|z)] - \mathrm{KL}(q(z|x)\,\|\,p(z))")
    'log p(x) ≥ E_q[log p(x|z)] - KL(q(z|x) || p(z))'
    >>> plain_formula(r"\tfrac12\sum_j 1 + \frac{a}{b^2}")
    '1/2 sum_j 1 + a / b²'
    """
    text = re.sub(r"\\tfrac(\d)(\d)", r"\1/\2 ", tex).replace("^2", "²").replace("^{-1}", "⁻¹")
    text = re.sub(r"\\frac\{([^{}]*)\}\{([^{}]*)\}", r"\1 / \2", text)
    text = re.sub(r"\\(?:mathrm|operatorname)\{(\w+)\}", r"\1", text)
    text = _ANY.sub(lambda symbol: _SYMBOLS[symbol[0]], text)
    text = re.sub(r"\{([^{}]*)\}", r"\1", text)
    return (
        re.sub(r"\s+", " ", text)
        .replace("( ", "(")
        .replace("[ ", "[")
        .replace("log (", "log(")
        .replace(" )", ")")
        .replace(" ,", ",")
        .strip()
    )


def plain_text(markdown: str) -> str:
    """The same of a text with formulas between dollars."""
    return re.sub(r"\$([^$]+)\$", lambda formula: plain_formula(formula[1]), markdown)
