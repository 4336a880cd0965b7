"""The page: opens offline, runs nothing, lets no text from the data become markup, and bears
degenerate contents.
"""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from aevb.errors import ModelFileError
from aevb.report import Contents, render
from aevb.report.page import measured, said, tone
from aevb.table.schema import Column, Schema

VOID = {"meta", "link", "br", "hr", "img", "input"}
HOSTILE = [
    "<script>alert(1)</script>",
    "</text></svg><img src=x onerror=alert(1)>",
    '" onload="alert(1)',
    "$x_1$ and $",
    "{{ contents }} {% raw %}",
    "🙂 naïve 收入",
    "עברית \u202eevil",
    "nul\x00 esc\x1b[31m \ud800 \ufffe line\nbreak",
    "&amp; ' ]]> --> <!--",
    "n" * 10_000,
    "",
]


class Page(HTMLParser):
    """Elements, attributes and text of a page; complains where tags do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def results(latents: int = 4, **changes: Any) -> dict[str, Any]:
    kl = [2.1, 0.004, 1.3, 3.2, 0.6, 0.001][:latents]
    layers = [
        ("encoder", "features of x", [64], [80], 0),
        ("encoder", "linear posterior", [80], [latents], 80 * latents),
        ("encoder", "tanh", [80], [256], 20736),
        ("encoder", "linear", [256], [2 * latents], 514 * latents),
        ("latent", "q(z|x): diagonal normal, p(z): standard normal", [latents], [latents], 0),
        ("decoder", "loadings", [latents], [128], 128 * latents),
        ("decoder", "tanh", [latents], [256], 256 * (latents + 1)),
        ("decoder", "linear", [256], [128], 32896),
        ("decoder", "p(x|z): discretised logistic", [100], [50], 50),
        ("decoder", "p(x|z): categorical", [28], [14], 0),
    ]
    made: dict[str, Any] = {
        "held_out": {
            "log_likelihood": -109.34, "standard_error": 0.653, "monte_carlo_error": 0.021, "bits_per_dim": 2.4646,
            "samples": 1000, "rows": 360, "effective_sample_size": 88.2, "bound": -112.8, "part": "test",
        },
        "baselines": {
            name: {
                "log_likelihood": value, "standard_error": 0.6, "difference": -109.34 - value,
                "difference_standard_error": error, "settings": settings,
            }
            for name, value, error, settings in [
                ("marginals", -156.2, 0.9, {}), ("ppca", -144.7, 0.5, {"factors": 32}),
                ("factor_analysis", -131.2, 0.4, {"factors": 32}),
                ("gaussian_mixture", -119.0, 0.45, {"components": 9}),
            ]
        },
        "not_applicable": {"kernel_density": "more than 20 columns"},
        "verdict": {"best": "vae", "text": "Use the VAE: 9.7 ± 0.5 nats a row above the best baseline."},
        "measure": "mass",
        "parts": {"train": 1257, "validation": 180, "test": 360},
        "diagnostics": {
            "kl_per_latent": kl, "active_units": sum(k > 0.01 for k in kl), "active": [k > 0.01 for k in kl],
            "collapsed": False, "train_log_likelihood": -104.2, "gap": 5.1, "gap_standard_error": 0.7,
            "warnings": ["Column 'p0' is constant."],
        },
        "latent_dim": {"chosen": latents, "tried": [{"latent_dim": k, "validation_bound": -113.0 - k} for k in (2, 4)]},
        "architecture": [
            dict(zip(("part", "name", "shape_in", "shape_out", "parameters"), layer, strict=True)) for layer in layers
        ],
        "fit": {"epochs": 60, "best_epoch": 48, "steps": 780, "skipped_steps": 0, "stopped": "patience", "seconds": 39},
    }  # fmt: skip
    return {**made, **changes}


def history(epochs: int = 60) -> list[dict[str, Any]]:
    noise = np.random.default_rng(1).normal(size=epochs)
    return [
        {
            "epoch": epoch, "samples_seen": 1257 * epoch, "learning_rate": 1e-3, "skipped_steps": 0, "seconds": 0.6,
            "train_bound": -108 - 300 / epoch, "validation_bound": -113 - 260 / epoch + 0.2 * noise[epoch - 1],
        }
        for epoch in range(1, epochs + 1)
    ]  # fmt: skip


def image_contents(**changes: Any) -> Contents:
    """Digits, with principal components in the place of a model."""
    from sklearn.datasets import load_digits

    pixels, digit = load_digits(return_X_y=True)
    pixels, digit = pixels[:300], digit[:300].astype(float)
    mean = pixels.mean(axis=0)
    _, size, axes = np.linalg.svd(pixels - mean, full_matrices=False)
    codes = (pixels - mean) @ axes[:4].T / size[:4] * np.sqrt(300)
    drawn = np.random.default_rng(0).normal(size=(60, 20)) * size[:20] / np.sqrt(300)
    column = Column("p", "pixel", "uint8", resolution=1, lower=0, upper=16, location=5, scale=6)
    contents = Contents(
        title="digits", results=results(), history=history(), codes=codes, colors=digit, color_name="digit",
        schema=Schema(tuple(replace(column, name=f"p{i}") for i in range(64)), labels=("digit",), ignored=("digit",),
                      image_shape=(8, 8)),
        color_levels=tuple("0123456789"), originals=pixels,
        reconstructions=np.clip((pixels - mean) @ axes[:16].T @ axes[:16] + mean, 0, 16),
        samples=np.clip(drawn @ axes[:20] + mean, 0, 16),
        commands=["aevb fit digits --latent-dim 4 --seed 0", "aevb report runs/digits-1"],
        environment={"aevb": "0.1.0", "jax": "0.10.2", "python": "3.11.7", "machine": "x86_64, 2 cores"},
    )  # fmt: skip
    return replace(contents, **changes)


def table_contents(rows: int = 500, **changes: Any) -> Contents:
    """A table of every kind of column, with missing cells; samples and reconstructions are noisy
    copies.
    """
    random = np.random.default_rng(3)
    age = np.round(np.clip(random.normal(40, 12, rows), 17, 90))
    hours = np.where(random.random(rows) < 0.5, 40, np.round(random.normal(42, 10, rows)))
    gain = np.where(random.random(rows) < 0.9, 0, np.exp(random.normal(8, 1, rows)))
    level = np.clip(np.round(age / 20 + random.normal(0, 1, rows)), 0, 4)
    job = random.choice(14, rows, p=np.arange(14, 0, -1) / 105)
    over = (age + random.normal(0, 12, rows) > 45).astype(float)
    values = np.column_stack([age, hours, gain, random.gamma(3, 20, rows), random.beta(2, 3, rows),
                              random.poisson(2.5, rows), level, job, over])  # fmt: skip
    columns = (
        Column("age", "continuous", resolution=1, grid=1, location=40, scale=12),
        Column("hours per week", "continuous", resolution=1, atoms=(40.0,), location=42, scale=10),
        Column("capital gain", "continuous", atoms=(0.0,), location=4000, scale=3000, missing=0.02),
        Column("wage", "positive", location=0, scale=55),
        Column("share worked from home", "proportion", lower=0, upper=1),
        Column("children", "count", resolution=1, lower=0),
        Column(
            "education",
            "ordinal",
            categories=("none", "school", "college", "bachelor", "doctorate"),
        ),
        Column("occupation", "categorical", categories=tuple(f"job number {i}" for i in range(14))),
        Column("over 50k", "binary", categories=(False, True)),
    )
    rebuilt = values + random.normal(0, 0.4, values.shape) * values.std(axis=0) * (np.arange(9) < 6)
    samples = values[random.permutation(rows)] + random.normal(0, 0.1, values.shape) * (
        np.arange(9) < 6
    )
    samples[:, 1] = random.normal(41, 8, rows)
    values[random.random(values.shape) < 0.02] = np.nan
    codes = np.column_stack([(age - 40) / 12, random.normal(size=rows), over + random.normal(0, 0.4, rows),
                             random.normal(0, 0.05, rows)])  # fmt: skip
    worse = {
        "best": "gaussian_mixture",
        "text": "Use the Gaussian mixture: it is 1.2 ± 0.3 nats a row above the VAE.",
    }
    found = results(verdict=worse, measure="mixed")
    found["baselines"]["gaussian_mixture"] |= {"difference": -1.2, "difference_standard_error": 0.3}
    found["baselines"]["ppca"] |= {"difference": 0.2, "difference_standard_error": 0.3}
    contents = Contents(
        title="adult", results=found, history=history(), codes=codes, colors=age, color_name="age",
        schema=Schema(columns, "pandas", ignored=("id",), notes=("Column 'id' looks like an identifier: ignored.",)),
        originals=values, reconstructions=rebuilt, samples=samples,
        commands=["aevb fit adult --seed 0"], environment={"aevb": "0.1.0"},
    )  # fmt: skip
    return replace(contents, **changes)


@pytest.fixture(scope="module")
def image_page() -> str:
    return render(image_contents())


@pytest.fixture(scope="module")
def table_page() -> str:
    return render(table_contents())


@pytest.mark.parametrize("page", ["image_page", "table_page"])
def test_page_asks_for_nothing_and_runs_nothing(page: str, request: pytest.FixtureRequest) -> None:
    text = request.getfixturevalue(page)
    parsed = Page(text)
    assert not {"script", "link", "iframe", "object", "embed", "form", "base"} & set(parsed.tags)
    for _tag, name, value in parsed.attributes:
        assert not name.startswith("on")
        if name in ("src", "href", "xlink:href"):
            assert (value or "").startswith(("#", "data:image/png"))
    assert not re.search(r"https?:|@import|url\((?!#)|//[a-z]+\.", text)
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in text


@pytest.mark.parametrize("page", ["image_page", "table_page"])
def test_ids_are_unique_and_every_reference_has_one(
    page: str, request: pytest.FixtureRequest
) -> None:
    text = request.getfixturevalue(page)
    ids = [value for _, name, value in Page(text).attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {*re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', text)}
    assert {a or b for a, b in re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', text)} <= set(ids)


def test_page_says_what_decides(table_page: str) -> None:
    text = Page(table_page).text
    assert text.index(
        "Use the Gaussian mixture: it is 1.2 ± 0.3 nats a row above the VAE."
    ) < text.index("The numbers")
    for words in ("−109.34 ± 0.65", "−1.20 ± 0.30", "more than 20 columns", "2.465", "discrete values are scored",
                  "aevb fit adult --seed 0", "share worked from home", "like an identifier", "2.0 %"):  # fmt: skip
        assert words in text
    order = [
        text.index(name, text.index("VAE minus it"))
        for name in ("gaussian mixture", "probabilistic PCA", "factor analysis", "marginals")
    ]
    assert order == sorted(order)


def test_same_contents_same_bytes(image_page: str) -> None:
    assert render(image_contents()) == image_page


def test_text_from_the_data_stays_text() -> None:
    size = len(HOSTILE)
    random = np.random.default_rng(0)
    columns = [Column(name, "continuous") for name in HOSTILE[: size - 3]]
    columns += [
        Column(name, "categorical", categories=tuple(HOSTILE)) for name in HOSTILE[size - 3 :]
    ]
    values = np.where(
        np.arange(size) < size - 3,
        random.normal(size=(50, size)),
        random.integers(0, size, (50, size)),
    )
    found = results(measure="mixed", not_applicable={HOSTILE[0]: HOSTILE[1]})
    found["baselines"][HOSTILE[1]] = found["baselines"]["ppca"]
    found["verdict"]["text"] = found["diagnostics"]["warnings"][0] = HOSTILE[1]
    for layer, text in zip(found["architecture"], HOSTILE, strict=False):
        layer["name"] = text
    contents = Contents(
        title=HOSTILE[0], results=found, history=history(3), codes=values[:, :4], originals=values,
        schema=Schema(tuple(columns), ignored=tuple(HOSTILE), notes=tuple(HOSTILE)),
        reconstructions=values, samples=values, colors=values[:, -1], color_name=HOSTILE[1],
        color_levels=tuple(HOSTILE), commands=HOSTILE[:9], environment=dict(zip(HOSTILE, HOSTILE, strict=True)),
    )  # fmt: skip
    page = render(contents)
    parsed = Page(page)
    expected = set(Page(render(table_contents(rows=60))).tags) | {"image", "small"}
    assert set(parsed.tags) <= expected
    assert not any(name.startswith("on") for _, name, _ in parsed.attributes)
    assert "<script>alert(1)</script>" in parsed.text
    assert "収入" in parsed.text or "收入" in parsed.text
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\ud800-\udfff\ufffe]", page)
    assert "n" * 1_100 not in page
    assert any(
        name == "title" and (value or "").startswith("nnn") for _, name, value in parsed.attributes
    )


def degenerate() -> dict[str, Contents]:
    image, table = image_contents(), table_contents(rows=40)
    few = [0, 2, 5, 6, 7]
    table = replace(
        table,
        schema=replace(table.schema, columns=tuple(table.schema.columns[i] for i in few)),
        codes=table.codes[:, [0, 2]],
        **{
            name: getattr(table, name)[:, few]
            for name in ("originals", "reconstructions", "samples")
        },
    )
    bare = {"verdict": {"best": None, "text": "No verdict."}, "measure": "density"}
    leveled = replace(table.schema, columns=table.schema.columns[3:])
    last = {
        name: getattr(table, name)[:, 3:] for name in ("originals", "reconstructions", "samples")
    }
    one = results(latents=1)
    table = replace(table, results=results(latents=2, architecture=[]))
    no_test = results(held_out={**results()["held_out"], "part": "validation"}, baselines={})
    untold = results(
        held_out={**results()["held_out"], "monte_carlo_error": np.nan, "standard_error": np.nan}
    )
    nothing = np.full_like(table.originals, np.nan)
    return {
        "no results at all": replace(table, results=bare, history=[]),
        "no baselines, no test part": replace(table, results=no_test),
        "errors that cannot be told": replace(table, results=untold),
        "one epoch": replace(table, history=history(1)),
        "a bound not finite": replace(table, history=[{"epoch": 1, "train_bound": None, "validation_bound": np.nan}]),
        "one latent": replace(table, results=one, codes=table.codes[:, :1]),
        "collapsed": replace(table, results={**one, "diagnostics": {"kl_per_latent": [0.0], "collapsed": True}}),
        "all categorical": replace(table, schema=leveled, **last),
        "every cell missing": replace(table, originals=nothing, colors=np.full(40, np.nan)),
        "one row": replace(table, codes=table.codes[:1], colors=None, originals=table.originals[:1],
                           reconstructions=table.reconstructions[:1]),
        "no rows": replace(table, codes=table.codes[:0], colors=None, originals=table.originals[:0],
                           reconstructions=table.reconstructions[:0], samples=table.samples[:0]),
        "images with holes": replace(image, originals=np.where(np.arange(64) % 7, image.originals, np.nan)),
        "colour images": replace(image, schema=replace(image.schema, image_shape=(4, 16, 1))),
        "extreme": replace(table, originals=np.sign(table.originals - 1) * 1e308,
                           samples=-np.sign(table.samples) * 1e308,
                           reconstructions=np.full_like(table.samples, np.inf)),
        "tiny": replace(table, originals=table.originals * 1e-310, samples=table.samples * 1e-310),
        "constant": replace(table, originals=table.originals * 0 + 7, samples=table.samples * 0 + 7),
    }  # fmt: skip


@pytest.mark.parametrize("case", degenerate())
def test_degenerate_contents_render(case: str) -> None:
    text = render(degenerate()[case])
    Page(text)
    assert "nan" not in re.sub(r"base64,[\w+/=]+", "", text).lower()


def test_collapse_is_said() -> None:
    assert "The posterior collapsed" in render(degenerate()["collapsed"])


def test_size_is_bounded() -> None:
    random = np.random.default_rng(0)
    codes = random.normal(size=(1_000_000, 4)).astype(np.float32)
    values = np.broadcast_to(random.normal(size=(1, 5)), (1_000_000, 5))
    column = Column("c", "continuous")
    tall = table_contents(
        rows=10, codes=codes, colors=codes[:, 0], originals=values, reconstructions=values, samples=values,
        schema=Schema(tuple(replace(column, name=f"c{i}") for i in range(5))),
    )  # fmt: skip
    wide_values = random.normal(size=(30, 10_000))
    wide = table_contents(
        rows=30, originals=wide_values, reconstructions=wide_values, samples=wide_values,
        schema=Schema(tuple(replace(column, name=f"c{i}") for i in range(10_000))),
    )  # fmt: skip
    assert len(render(tall)) < 3_000_000
    page = render(wide)
    assert len(page) < 3_000_000
    assert "c199<" in page
    assert "c9999" not in re.sub("<svg.*?</svg>", "", page, flags=re.S)


def test_contents_come_back_from_storage() -> None:
    contents = image_contents()
    arrays, documents = contents.to_stored()
    again = Contents.from_stored(arrays, json.loads(json.dumps(documents, allow_nan=False)))
    assert render(again) == render(contents)


@pytest.mark.parametrize("harm", ["codes", "schema", "report", "shape", "colors"])
def test_damaged_contents_are_refused(harm: str) -> None:
    arrays, documents = image_contents().to_stored()
    if harm == "shape":
        arrays["samples"] = arrays["samples"][:, :3]
    elif harm == "colors":
        arrays["colors"] = arrays["colors"][:5]
    else:
        arrays.pop(harm, None)
        documents.pop(harm, None)
    with pytest.raises(ModelFileError):
        Contents.from_stored(arrays, documents)


def test_baselines_that_share_a_reason_share_a_line() -> None:
    reasons = {
        "PPCA": "it has levels",
        "Gaussian mixture": "cells are missing",
        "factor analysis": "it has levels",
    }
    text = " ".join(
        Page(render(image_contents(results=results(not_applicable=reasons)))).text.split()
    )
    assert "PPCA, factor analysis: it has levels" in text
    assert text.count("it has levels") == 1
    assert "Gaussian mixture: cells are missing" in text


def test_settings_are_said_in_words() -> None:
    settings = {
        "chosen_on": "validation", "dequantised": "x + u", "draws": 8, "factors": 1, "units": "data",
        "logarithm_of": ["a", "b"], "{0} new": 3,
    }  # fmt: skip
    assert said(settings) == (
        "1 factor, one noise variance in data units, of the logarithms of a, b, sized on validation rows, "
        "8 draws of noise a row, {0} new 3"
    )
    assert said({"chosen_on": {"x": 1}, "ridge": None}) == "ridge None, sized on {'x': 1} rows"
    found = results()
    lower_bound = "a lower bound of that probability"
    assert lower_bound not in " ".join(Page(render(image_contents(results=found))).text.split())
    found["baselines"]["ppca"]["settings"] = settings
    page = " ".join(Page(render(image_contents(results=found))).text.split())
    assert lower_bound in page
    assert "dequantised" not in page


def test_tone_follows_the_least_difference() -> None:
    def found(difference: float) -> dict[str, Any]:
        far = {"difference": 50.0, "difference_standard_error": 0.1}
        return {
            "baselines": {
                "a": far,
                "b": {"difference": difference, "difference_standard_error": 1.0},
            }
        }

    assert [tone(found(d)) for d in (-3.0, -1.0, 1.0, 3.0)] == ["worse", "level", "level", "better"]
    assert tone({}) == "unknown"


def test_errors_keep_two_digits() -> None:
    assert measured(-45.3124, 0.00123) == "−45.3124 ± 0.0012"
    assert measured(-12345.6, 123.4) == "−12,346 ± 123"
    assert measured(None) == measured(float("nan"), 0.1) == "–"
