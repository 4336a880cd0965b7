"""The page opens offline, runs nothing, keeps text from the data as text, and takes anything."""

import base64
import re
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from aevb.disk import parse_json, to_json
from aevb.errors import ModelFileError
from aevb.report import Contents, render
from aevb.report.page import in_words, measured, tone
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


def pictures(page: str) -> list[str]:
    """The SVG of each image, without the pixels it holds."""
    encoded = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', page)
    texts = [base64.b64decode(content).decode() for content in encoded]
    return [re.sub(r"data:image/png;base64,[\w+/=\s]+", "", text) for text in texts]


def results(latents: int = 4, **changes: Any) -> dict[str, Any]:
    kl = [2.1, 0.004, 1.3, 3.2, 0.6, 0.001][:latents]
    active = [nats > 0.01 for nats in kl]
    layers = [
        ("encoder", "features of x", [64], [80], 0),
        ("encoder", "linear posterior", [80], [latents], 80 * latents),
        ("encoder", "tanh", [80], [256], 20736),
        ("encoder", "linear", [256], [2 * latents], 514 * latents),
        ("latent", "q(z|x): diagonal normal, p(z): standard normal", [latents], [latents], 0),
        ("decoder", "loadings", [latents], [128], 128 * latents),
        ("decoder", "tanh", [latents], [256], 256 * (latents + 1)),
        ("decoder", "linear", [256], [128], 32896),
        ("decoder", "p(x|z): discretized logistic", [100], [50], 50),
        ("decoder", "p(x|z): categorical", [28], [14], 0),
    ]
    keys = ("part", "name", "shape_in", "shape_out", "parameters")
    made: dict[str, Any] = {
        "held_out": {
            "log_likelihood": -109.34,
            "standard_error": 0.653,
            "monte_carlo_error": 0.021,
            "bits_per_dim": 2.4646,
            "samples": 1000,
            "rows": 360,
            "effective_sample_size": 88.2,
            "bound": -112.8,
            "part": "test",
        },
        "baselines": {
            "independent marginals": baseline(-156.2, 0.9),
            "PPCA": baseline(-144.7, 0.5, factors=32),
            "factor analysis": baseline(-131.2, 0.4, factors=32),
            "Gaussian mixture": baseline(-119.0, 0.45, components=9),
        },
        "not_applicable": {"kernel density": "more than 20 columns"},
        "verdict": {"best": "VAE", "text": "Use the VAE: it is better by 9.7 ± 0.5 nats per row."},
        "measure": "mass",
        "parts": {"train": 1257, "validation": 180, "test": 360},
        "diagnostics": {
            "kl_per_latent": kl,
            "active_units": sum(active),
            "active": active,
            "collapsed": False,
            "train_log_likelihood": -104.2,
            "gap": 5.1,
            "gap_standard_error": 0.7,
            "warnings": ["Column 'p0' is constant."],
        },
        "latent_dim": {
            "chosen": latents,
            "tried": [{"latent_dim": k, "validation_bound": -113.0 - k} for k in (2, 4)],
        },
        "architecture": [dict(zip(keys, layer, strict=True)) for layer in layers],
        "fit": {
            "epochs": 60,
            "best_epoch": 48,
            "steps": 780,
            "skipped_steps": 0,
            "stopped": "patience",
            "seconds": 39,
        },
    }
    return {**made, **changes}


def baseline(log_likelihood: float, error: float, **settings: Any) -> dict[str, Any]:
    return {
        "log_likelihood": log_likelihood,
        "standard_error": 0.6,
        "difference": -109.34 - log_likelihood,
        "difference_standard_error": error,
        "settings": settings,
    }


def history(epochs: int = 60) -> list[dict[str, Any]]:
    noise = np.random.default_rng(1).normal(size=epochs)
    return [
        {
            "epoch": epoch,
            "train_bound": -108 - 300 / epoch,
            "validation_bound": -113 - 260 / epoch + 0.2 * noise[epoch - 1],
        }
        for epoch in range(1, epochs + 1)
    ]


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
    columns = tuple(replace(column, name=f"p{i}") for i in range(64))
    contents = Contents(
        title="digits",
        results=results(),
        history=history(),
        schema=Schema(columns, labels=("digit",), ignored=("digit",), image_shape=(8, 8)),
        codes=codes,
        originals=pixels,
        reconstructions=np.clip((pixels - mean) @ axes[:16].T @ axes[:16] + mean, 0, 16),
        samples=np.clip(drawn @ axes[:20] + mean, 0, 16),
        colors=digit,
        color_name="digit",
        color_levels=tuple("0123456789"),
        commands=["aevb fit digits --latent-dim 4 --seed 0", "aevb report runs/digits-1"],
        environment={"aevb": "0.1.0", "machine": "x86_64, 2 cores"},
    )
    return replace(contents, **changes)


def table_contents(rows: int = 500, **changes: Any) -> Contents:
    """Columns of every kind with missing cells; samples and reconstructions are noisy copies."""
    random = np.random.default_rng(3)
    age = np.round(np.clip(random.normal(40, 12, rows), 17, 90))
    hours = np.where(random.random(rows) < 0.5, 40, np.round(random.normal(42, 10, rows)))
    gain = np.where(random.random(rows) < 0.9, 0, np.exp(random.normal(8, 1, rows)))
    level = np.clip(np.round(age / 20 + random.normal(0, 1, rows)), 0, 4)
    job = random.choice(14, rows, p=np.arange(14, 0, -1) / 105)
    over = (age + random.normal(0, 12, rows) > 45).astype(float)
    wage, share = random.gamma(3, 20, rows), random.beta(2, 3, rows)
    children = random.poisson(2.5, rows)
    values = np.column_stack([age, hours, gain, wage, share, children, level, job, over])
    names = ("none", "school", "college", "bachelor", "doctorate")
    columns = (
        Column("age", "continuous", resolution=1, grid=1, location=40, scale=12),
        Column("hours per week", "continuous", resolution=1, atoms=(40.0,), location=42, scale=10),
        Column("capital gain", "continuous", atoms=(0.0,), location=4000, scale=3000, missing=0.02),
        Column("wage", "positive", location=0, scale=55),
        Column("share worked from home", "proportion", lower=0, upper=1),
        Column("children", "count", resolution=1, lower=0),
        Column("education", "ordinal", categories=names),
        Column("occupation", "categorical", categories=tuple(f"job number {i}" for i in range(14))),
        Column("over 50k", "binary", categories=(False, True)),
    )
    numeric = np.arange(9) < 6
    rebuilt = values + random.normal(0, 0.4, values.shape) * values.std(axis=0) * numeric
    samples = values[random.permutation(rows)] + random.normal(0, 0.1, values.shape) * numeric
    samples[:, 1] = random.normal(41, 8, rows)
    values[random.random(values.shape) < 0.02] = np.nan
    noise = random.normal(size=(rows, 3)) * [1, 0.4, 0.05]
    codes = np.column_stack([(age - 40) / 12, noise[:, 0], over + noise[:, 1], noise[:, 2]])
    text = "Use the simpler model, Gaussian mixture: it is better by 1.2 ± 0.3 nats per row."
    found = results(verdict={"best": "Gaussian mixture", "text": text}, measure="mixed")
    worse = {"difference": -1.2, "difference_standard_error": 0.3}
    found["baselines"]["Gaussian mixture"] |= worse
    level = {"difference": 0.2, "difference_standard_error": 0.3}
    found["baselines"]["PPCA"] |= level
    notes = ("Column 'id' looks like an identifier: ignored.",)
    contents = Contents(
        title="adult",
        results=found,
        history=history(),
        schema=Schema(columns, "pandas", ignored=("id",), notes=notes),
        codes=codes,
        originals=values,
        reconstructions=rebuilt,
        samples=samples,
        colors=age,
        color_name="age",
        commands=["aevb fit adult --seed 0"],
        environment={"aevb": "0.1.0"},
    )
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
        if name in ("src", "href"):
            assert (value or "").startswith("data:image/svg+xml;base64,")
    assert not re.search(r"https?:|@import|url\(|//[a-z]+\.", text)
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in text


@pytest.mark.parametrize("page", ["image_page", "table_page"])
def test_pictures_refer_to_nothing_outside_themselves(
    page: str, request: pytest.FixtureRequest
) -> None:
    found = pictures(request.getfixturevalue(page))
    assert len(found) >= 7
    for picture in found:
        root = ElementTree.fromstring(picture)
        assert "script" not in picture
        ids = {element.get("id") for element in root.iter()}
        references = re.findall(r'url\(#([^)]+)\)|href="(?:#([^"]+))?"', picture)
        assert {a or b for a, b in references} - {""} <= ids
        assert not re.search(r"href=\"[^#\"]|url\([^#]|@import", picture)


def test_page_says_what_decides(table_page: str) -> None:
    text = Page(table_page).text
    verdict = "Use the simpler model, Gaussian mixture: it is better by 1.2 ± 0.3 nats per row."
    assert text.index(verdict) < text.index("The numbers")
    for words in (
        "−109.34 ± 0.65",
        "−1.20 ± 0.30",
        "more than 20 columns",
        "2.465",
        "discrete values are scored",
        "aevb fit adult --seed 0",
        "share worked from home",
        "like an identifier",
        "2.0%",
    ):
        assert words in text
    names = ("Gaussian mixture", "PPCA", "factor analysis", "independent marginals")
    order = [text.index(name, text.index("VAE minus it")) for name in names]
    assert order == sorted(order)


def test_same_contents_same_bytes(image_page: str) -> None:
    assert render(image_contents()) == image_page


def hostile_contents() -> Contents:
    size = len(HOSTILE)
    leveled = np.arange(size) >= size - 3
    columns = []
    for name, has_levels in zip(HOSTILE, leveled, strict=True):
        column = Column(name, "continuous")
        if has_levels:
            column = Column(name, "categorical", categories=tuple(HOSTILE))
        columns.append(column)
    random = np.random.default_rng(0)
    numbers, codes = random.normal(size=(50, size)), random.integers(0, size, (50, size))
    values = np.where(leveled, codes, numbers)
    found = results(measure="mixed", not_applicable={HOSTILE[0]: HOSTILE[1]})
    found["baselines"][HOSTILE[1]] = found["baselines"]["PPCA"]
    found["verdict"]["text"] = found["diagnostics"]["warnings"][0] = HOSTILE[1]
    for layer, text in zip(found["architecture"], HOSTILE, strict=False):
        layer["name"] = text
    return Contents(
        title=HOSTILE[0],
        results=found,
        history=history(3),
        schema=Schema(tuple(columns), ignored=tuple(HOSTILE), notes=tuple(HOSTILE)),
        codes=values[:, :4],
        originals=values,
        reconstructions=values,
        samples=values,
        colors=values[:, -1],
        color_name=HOSTILE[1],
        color_levels=tuple(HOSTILE),
        commands=HOSTILE[:9],
        environment=dict(zip(HOSTILE, HOSTILE, strict=True)),
    )


def test_text_from_the_data_stays_text(table_page: str) -> None:
    page = render(hostile_contents())
    parsed = Page(page)
    assert set(parsed.tags) <= {*Page(table_page).tags, "small"}
    assert not any(name.startswith("on") for _, name, _ in parsed.attributes)
    assert "<script>alert(1)</script>" in parsed.text
    assert "收入" in parsed.text
    controls = "[\x00-\x08\x0b-\x1f\u202a-\u202e\ud800-\udfff\ufffe]"
    assert not re.search(controls, page)
    assert "n" * 1_100 not in page
    titles = [value or "" for _, name, value in parsed.attributes if name == "title"]
    assert any(title.startswith("nnn") for title in titles)
    drawn = ""
    for picture in pictures(page):
        assert not re.search(controls, picture)
        root = ElementTree.fromstring(picture)
        assert not [element for element in root.iter() if element.tag.endswith("script")]
        drawn += "".join(root.itertext())
    assert "<script>alert(1" in drawn
    assert "$x_1$ and $" in drawn


@cache
def degenerate() -> dict[str, Contents]:
    image, table = image_contents(), table_contents(rows=40)
    few = table_of(table, [0, 2, 5, 6, 7])
    few = replace(few, codes=table.codes[:, [0, 2]], results=results(latents=2, architecture=[]))
    bare = {"verdict": {"best": None, "text": "No verdict."}, "measure": "density"}
    held_out = results()["held_out"]
    validation = results(held_out={**held_out, "part": "validation"}, baselines={})
    no_errors = {**held_out, "monte_carlo_error": np.nan, "standard_error": np.nan}
    collapsed = results(diagnostics={"kl_per_latent": [0.0], "collapsed": True})
    shown = {name: getattr(few, name) for name in ("originals", "reconstructions", "samples")}
    first = {name: values[:1] for name, values in shown.items()}
    none = {name: values[:0] for name, values in shown.items()}
    huge = {name: np.sign(values - 1) * 1e308 for name, values in shown.items()}
    tiny = {name: values * 1e-310 for name, values in shown.items()}
    constant = {name: values * 0 + 7 for name, values in shown.items()}
    unknown = np.full_like(few.originals, np.nan)
    not_finite = {"epoch": 1, "train_bound": None, "validation_bound": np.nan}
    return {
        "no results at all": replace(few, results=bare, history=[]),
        "no baselines, no test part": replace(few, results=validation),
        "unknown errors": replace(few, results=results(held_out=no_errors)),
        "one epoch": replace(few, history=history(1)),
        "a bound not finite": replace(few, history=[not_finite]),
        "one latent": replace(few, results=results(latents=1), codes=few.codes[:, :1]),
        "collapsed": replace(few, results=collapsed),
        "all categorical": table_of(few, [3, 4]),
        "every cell missing": replace(few, originals=unknown, colors=np.full(40, np.nan)),
        "one row": replace(few, **first, codes=few.codes[:1], colors=None),
        "no rows": replace(few, **none, codes=few.codes[:0], colors=None),
        "images with holes": replace(
            image, originals=np.where(np.arange(64) % 7, image.originals, np.nan)
        ),
        "images with a channel": replace(
            image, schema=replace(image.schema, image_shape=(4, 16, 1))
        ),
        "huge": replace(few, **{**huge, "reconstructions": np.full_like(few.samples, np.inf)}),
        "tiny": replace(few, **tiny),
        "constant": replace(few, **constant),
    }


def table_of(contents: Contents, chosen: list[int]) -> Contents:
    """The same rows with these columns only."""
    columns = tuple(contents.schema.columns[i] for i in chosen)
    return replace(
        contents,
        schema=replace(contents.schema, columns=columns),
        originals=contents.originals[:, chosen],
        reconstructions=contents.reconstructions[:, chosen],
        samples=contents.samples[:, chosen],
    )


#: The others keep the law where it is less likely to break.
FAST = {
    "no results at all",
    "a bound not finite",
    "one latent",
    "collapsed",
    "all categorical",
    "every cell missing",
    "no rows",
    "images with holes",
    "huge",
}


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=[] if case in FAST else pytest.mark.long) for case in degenerate()],
)
def test_degenerate_contents_render(case: str) -> None:
    page = render(degenerate()[case])
    assert "nan" not in Page(page).text.lower()
    assert ("The posterior collapsed" in page) == (case == "collapsed")
    for picture in pictures(page):
        assert "nan" not in picture.lower()


def columns_named(names: list[str]) -> Schema:
    return Schema(tuple(Column(name, "continuous") for name in names))


def test_size_is_bounded() -> None:
    random = np.random.default_rng(0)
    codes = random.normal(size=(1_000_000, 4)).astype(np.float32)
    values = np.broadcast_to(random.normal(size=(1, 5)), (1_000_000, 5))
    shown = {"originals": values, "reconstructions": values, "samples": values}
    schema = columns_named(list("abcde"))
    tall = table_contents(rows=10, codes=codes, colors=codes[:, 0], schema=schema, **shown)
    assert len(render(tall)) < 3_000_000
    values = random.normal(size=(30, 10_000))
    shown = {"originals": values, "reconstructions": values, "samples": values}
    schema = columns_named([f"c{i}" for i in range(10_000)])
    page = render(table_contents(rows=30, schema=schema, **shown))
    assert len(page) < 3_000_000
    assert "c199<" in page
    assert "c9999" not in page


def test_contents_come_back_from_storage(image_page: str) -> None:
    arrays, documents = image_contents().to_stored()
    again = Contents.from_stored(arrays, parse_json(to_json(documents), "documents"))
    assert render(again) == image_page


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


def test_settings_of_a_baseline_are_readable(image_page: str) -> None:
    settings = {
        "chosen_on": "validation",
        "dequantized": "x + u",
        "draws": 8,
        "factors": 1,
        "logarithm_of": ["a", "b"],
        "{0} new": 3.0,
    }
    words = in_words(settings)
    assert "factors: 1, logarithms of: a, b, noise draws per row: 8" in words
    assert "size chosen on: validation rows, {0} new: 3" in words
    found = results()
    lower_bound = "a lower bound of that probability"
    assert lower_bound not in " ".join(Page(image_page).text.split())
    found["baselines"]["PPCA"]["settings"] = settings
    page = " ".join(Page(render(image_contents(results=found))).text.split())
    assert lower_bound in page
    assert "x + u" not in page


def test_tone_follows_the_least_difference() -> None:
    def baselines(difference: float) -> dict[str, Any]:
        far = {"difference": 50.0, "difference_standard_error": 0.1}
        near = {"difference": difference, "difference_standard_error": 1.0}
        return {"far": far, "near": near, "unknown": {"difference": None}}

    tones = [tone(baselines(difference)) for difference in (-3.0, -1.0, 1.0, 3.0)]
    assert tones == ["worse", "level", "level", "better"]
    assert tone({}) == "unknown"


def test_errors_keep_two_digits() -> None:
    assert measured(-45.3124, 0.00123) == "−45.3124 ± 0.0012"
    assert measured(-12345.6, 123.4) == "−12,346 ± 123"
    assert measured(None) == measured(float("nan"), 0.1) == "–"
