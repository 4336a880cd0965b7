"""What users hold is read, filled where cells are missing, and otherwise comes back as it was."""

import enum
from decimal import Decimal

import ml_dtypes
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from aevb import VAE, VAEImputer, VAEOutlierDetector, load
from aevb.errors import AevbError, AevbWarning, DataError, ModelFileError
from aevb.table import decode, encode, fingerprint, infer
from aevb.table.containers import readable
from aevb.table.encoding import missing_cells
from aevb.table.filling import filled_column, filled_matrix
from aevb.table.schema import Header, Schema

N = 40
RNG = np.random.default_rng(0)
WHOLE = RNG.integers(0, 300, N)
REAL = RNG.normal(size=N)
TEXT = list("abcd") * (N // 4)
HOLES = np.arange(N) % 7 == 0
TINY = {"latent_dim": 1, "hidden": (), "epochs": 1, "random_state": 0}


def imputed(full, like, **options):
    """`like` with its missing cells taken from the full table, by that table's schema."""
    schema = infer(full, **options)
    missing = missing_cells(like, schema)
    result = decode(encode(full, schema), schema, like=like, filled=missing)
    assert not missing_cells(result, schema).any()
    return result


# Filling


ARROW_TYPES = {
    "int8": (WHOLE % 100, pa.int8(), "int16"),
    "uint8": (WHOLE % 100, pa.uint8(), "uint16"),
    "int16": (WHOLE, pa.int16(), "int16"),
    "int64": (WHOLE, pa.int64(), "int64"),
    "halffloat": (REAL.astype(np.float16), pa.float16(), "halffloat"),
    "float": (REAL.astype(np.float32), pa.float32(), "float"),
    "double": (REAL, pa.float64(), "double"),
    "decimal128": (
        [Decimal(int(cents)).scaleb(-2) for cents in WHOLE],
        pa.decimal128(10, 2),
        "decimal128(10, 2)",
    ),
    "decimal256": (
        [Decimal(int(cents)).scaleb(-2) for cents in WHOLE],
        pa.decimal256(50, 2),
        "decimal256(50, 2)",
    ),
    "string": (TEXT, pa.string(), "string"),
    "large_string": (TEXT, pa.large_string(), "large_string"),
    "string_view": (TEXT, pa.string_view(), "string_view"),
    "dictionary": (
        TEXT,
        pa.dictionary(pa.int8(), pa.string()),
        "dictionary<values=string, indices=int8, ordered=0>",
    ),
    "bool": ([bool(number % 2) for number in WHOLE], pa.bool_(), "bool"),
}


def with_holes(name):
    """A full table, the same with missing cells and maybe of a narrow type, and its next type."""
    cells, kind, expected = ARROW_TYPES[name]
    narrow = name in ("int8", "uint8")
    full = pa.table(
        {"x": REAL, "c": pa.array(WHOLE if narrow else cells, None if narrow else kind)}
    )
    like = pa.table({"x": REAL, "c": pa.array(cells, kind, mask=HOLES)})
    return full, like, expected


@pytest.mark.parametrize("name", ARROW_TYPES)
def test_arrow_columns_are_filled_and_nothing_else(name):
    full, like, expected = with_holes(name)
    result = imputed(full, like)
    assert str(result["c"].type) == expected
    assert result["x"].equals(like["x"])
    before, after = like["c"].to_pylist(), result["c"].to_pylist()
    assert [cell for cell, hole in zip(after, HOLES, strict=True) if not hole] == [
        cell for cell in before if cell is not None
    ]
    wanted = full["c"].to_pylist()
    assert [after[row] for row in np.flatnonzero(HOLES)] == [
        wanted[row] for row in np.flatnonzero(HOLES)
    ]


@pytest.mark.parametrize("name", ARROW_TYPES)
def test_arrow_backed_pandas_columns_are_filled_and_nothing_else(name):
    full, like, expected = with_holes(name)
    full, like = (table.to_pandas(types_mapper=pd.ArrowDtype) for table in (full, like))
    result = imputed(full, like)
    assert str(result["c"].dtype) == f"{expected}[pyarrow]"
    before, after = like["c"].tolist(), result["c"].tolist()
    assert [after[row] for row in np.flatnonzero(~HOLES)] == [
        before[row] for row in np.flatnonzero(~HOLES)
    ]
    assert after[0] == full["c"].tolist()[0]


PANDAS_TYPES = {
    "float64": (WHOLE, "float64", "float64"),
    "float32": (REAL, "float32", "float32"),
    "big-endian": (REAL, ">f8", ">f8"),
    "Sparse": (REAL, pd.SparseDtype("float64"), "Sparse[float64, nan]"),
    "Int8": (WHOLE, "Int8", "Int16"),
    "Int64": (WHOLE, "Int64", "Int64"),
    "Float32": (REAL, "Float32", "Float32"),
    "boolean": (WHOLE % 2 == 0, "boolean", "boolean"),
    "str": (TEXT, "str", "str"),
    "string": (TEXT, "string", "string"),
    "object": (TEXT, "object", "object"),
    "category": (TEXT, pd.CategoricalDtype(list("dab")), "category"),
    "ordered": (TEXT, pd.CategoricalDtype(list("dcba"), ordered=True), "category"),
}


@pytest.mark.parametrize("name", PANDAS_TYPES)
def test_pandas_columns_are_filled_and_nothing_else(name):
    cells, dtype, expected = PANDAS_TYPES[name]
    index = pd.Index(np.arange(N)[::-1], name="row")
    full = pd.DataFrame({"x": REAL, "c": cells}, index=index)
    observed = [None if hole else cell for cell, hole in zip(cells, HOLES, strict=True)]
    if dtype == "Int8":
        observed = [None if cell is None else int(cell) % 100 for cell in observed]
    if name == "category":
        observed = [None if cell == "c" else cell for cell in observed]
    like = pd.DataFrame({"x": REAL, "c": pd.Series(observed, index=index, dtype=dtype)})
    like.attrs["source"] = "a survey"
    before = like.copy(deep=True)
    result = imputed(full, like)
    pd.testing.assert_frame_equal(like, before)
    assert str(result["c"].dtype) == expected
    assert result.index.equals(like.index)
    assert result.index.name == "row"
    assert result.attrs == like.attrs
    kept = like["c"].notna().to_numpy()
    assert result["c"].to_numpy()[kept].tolist() == like["c"].to_numpy()[kept].tolist()
    if name == "category":
        assert result["c"].cat.categories.tolist() == list("dabc")
    pd.testing.assert_series_equal(result["x"], like["x"])


POLARS_TYPES = {
    "Int8": (WHOLE, pl.Int8, pl.Int16),
    "UInt8": (WHOLE, pl.UInt8, pl.UInt16),
    "Int128": (WHOLE, pl.Int128, pl.Int128),
    "Float32": (REAL, pl.Float32, pl.Float32),
    "Decimal": ([Decimal(int(c)).scaleb(-2) for c in WHOLE], pl.Decimal(10, 2), pl.Decimal(10, 2)),
    "String": (TEXT, pl.String, pl.String),
    "Categorical": (TEXT, pl.Categorical, pl.Categorical),
    "Enum": (TEXT, pl.Enum(list("dab")), pl.Enum(list("dabc"))),
    "Boolean": ((WHOLE % 2 == 0).tolist(), pl.Boolean, pl.Boolean),
}


@pytest.mark.parametrize("name", POLARS_TYPES)
def test_polars_columns_are_filled_and_nothing_else(name):
    cells, dtype, expected = POLARS_TYPES[name]
    full = pl.DataFrame({"x": REAL, "c": list(cells)})
    observed = [None if hole else cell for cell, hole in zip(cells, HOLES, strict=True)]
    if dtype in (pl.Int8, pl.UInt8):
        observed = [None if cell is None else int(cell) % 100 for cell in observed]
    if name == "Enum":
        observed = [None if cell == "c" else cell for cell in observed]
    like = pl.DataFrame({"x": REAL, "c": pl.Series(observed, dtype=dtype)})
    result = imputed(full, like)
    assert result["c"].dtype == expected
    assert result["x"].equals(like["x"])
    kept = like["c"].is_not_null()
    assert result.filter(kept)["c"].to_list() == like.filter(kept)["c"].to_list()


@given(
    array=arrays.arrays(
        st.sampled_from(["i1", "u1", "i2", ">i4", "f4", ">f8", "f8", "O"]),
        st.tuples(st.integers(1, 6), st.integers(1, 4)),
        elements=st.integers(0, 100),
    ),
    number=st.one_of(st.integers(-(2**40), 2**40).map(float), st.floats(-1e6, 1e6)),
    data=st.data(),
)
@settings(max_examples=150, deadline=None)
def test_an_array_holds_what_is_put_in_and_all_that_it_held(array, number, data):
    where = np.array(data.draw(st.lists(st.booleans(), min_size=len(array), max_size=len(array))))
    place = data.draw(st.integers(0, array.shape[1] - 1))
    before = array.copy()
    result = filled_matrix(array, {place: (where, np.full(where.sum(), number))})
    np.testing.assert_array_equal(array, before)
    put = np.zeros(array.shape, dtype=bool)
    put[where, place] = True
    np.testing.assert_array_equal(result[~put], array[~put])
    held = result[put].astype(float)
    if array.dtype == np.float32:  # narrow floats stay, as long as they are finite
        np.testing.assert_allclose(held, number, rtol=1e-6, atol=1e-40)
    else:
        assert (held == number).all()
    if array.dtype.kind == "f":
        assert result.dtype == array.dtype


def test_the_narrowest_type_that_holds_the_cells():
    ones = np.array([True, False])
    small = np.array([1, 2], dtype=np.int8)
    for number, dtype in ((5, "i1"), (-129, "i2"), (300, "i2"), (2**31, "i8"), (0.5, "f8")):
        assert filled_column(small, ones, np.array([float(number)])).dtype == np.dtype(dtype)
    assert filled_column(small.astype("u1"), ones, np.array([-1.0])).dtype == np.int16
    assert filled_column(small.astype("f4"), ones, np.array([1e300])).dtype == np.float64
    assert filled_column(np.array(["a", "b"]), ones, np.array(["long"], object)).dtype == "<U4"
    flags = filled_column(np.array([True, False]), ones, np.array([False], object))
    assert flags.dtype == bool


def test_fortran_order_and_images_keep_their_shape():
    flat = np.asfortranarray(RNG.normal(size=(N, 3)))
    flat[0, 0] = np.nan
    full = np.nan_to_num(flat)
    assert imputed(full, flat).flags.f_contiguous
    images = RNG.normal(size=(N, 3, 2))
    holed = images.copy()
    holed[0, 1, 1] = np.nan
    result = imputed(images, holed)
    assert result.shape == images.shape
    np.testing.assert_array_equal(result, images)


@pytest.mark.parametrize("dtype", [float, np.float32, int])
@pytest.mark.parametrize("hard", [False, True])
def test_a_masked_array_shows_what_was_filled(dtype, hard):
    full = RNG.integers(0, 100, (N, 3)).astype(dtype)
    mask = np.zeros(full.shape, dtype=bool)
    mask[::3, 1] = True
    mask[::4, 2] = True
    holed = np.ma.MaskedArray(full, mask=mask, hard_mask=hard)
    result = imputed(full, holed, ignore=["x2"])
    assert isinstance(result, np.ma.MaskedArray)
    assert result.dtype == full.dtype
    np.testing.assert_array_equal(result.mask[:, 2], mask[:, 2])
    assert not result.mask[:, :2].any()
    np.testing.assert_array_equal(result.data, full)


# Observed cells of new rows, through the estimators


@pytest.fixture(scope="module")
def survey():
    return pd.DataFrame(
        {
            "kids": RNG.poisson(1.5, 100).clip(0, 4),
            "kg": RNG.integers(50, 100, 100),
            "small": RNG.integers(0, 60, 100).astype("int8"),
            "f32": RNG.normal(size=100).astype("float32"),
            "town": RNG.choice(["A", "B", "C"], 100),
        }
    )


@pytest.fixture(scope="module")
def fitted(survey):
    return VAE(**TINY).fit(survey)


STRANGE = {
    "kids": [7, 1, np.nan],
    "kg": [72.5, np.nan, 60.25],
    "small": [300.0, 5.0, 2.0],
    "f32": [0.1234567890123, np.nan, 1e300],
    "town": ["Ω", None, "A"],
}


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
@pytest.mark.parametrize("draws", [None, 2])
@pytest.mark.filterwarnings("ignore::aevb.errors.AevbWarning")
def test_imputing_never_changes_an_observed_cell(fitted, make, draws):
    rows = make(
        {
            name: pd.Series(cells).replace({np.nan: None}).to_list()
            for name, cells in STRANGE.items()
        }
    )
    missing = missing_cells(rows, fitted.schema_)
    results = fitted.impute(rows, draws=draws)
    if draws is None:
        results = [results, VAEImputer(vae=fitted).fit(rows).transform(rows)]
    for result in results:
        assert type(result) is type(rows)
        assert not missing_cells(result, fitted.schema_).any()
        for i, name in enumerate(STRANGE):
            cells = result[name].to_pylist() if make is pa.table else list(result[name])
            for row in np.flatnonzero(~missing[:, i]):
                assert cells[row] == STRANGE[name][row]


@pytest.mark.filterwarnings("ignore:AEV302")
def test_imputing_an_array_never_changes_an_observed_cell(survey):
    vae = VAE(**TINY).fit(survey[["kids", "kg"]].to_numpy())
    given_cells = np.array([[-5, 72.5], [np.nan, 60.2]])
    result = vae.impute(given_cells)
    np.testing.assert_array_equal(result[:, 1], given_cells[:, 1])
    assert result[1, 0] == round(result[1, 0])
    stacked = vae.impute(given_cells, draws=3)
    assert stacked.shape == (3, 2, 2)
    assert (stacked[:, :, 1] == given_cells[:, 1]).all()


# Labels of columns


LABELS = {
    "range": pd.RangeIndex(3),
    "floats": pd.Index([0.5, 1.5, 2.5]),
    "mixed": pd.Index(["a", 1, 2.5], dtype=object),
    "flags": pd.Index([True, False, None], dtype=object),
    "named": pd.Index(list("abc"), name="variable"),
    "dates": pd.date_range("2024", periods=3, tz="Europe/Paris", name="day"),
    "days": pd.Index(pd.date_range("2024", periods=3).date, dtype=object),
    "periods": pd.period_range("2024-01", periods=3, freq="M"),
    "durations": pd.timedelta_range("1D", periods=3),
    "tuples": pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)], names=["u", None]),
}


@pytest.mark.parametrize("name", LABELS)
def test_labels_of_columns_come_back_after_json_too(name):
    frame = pd.DataFrame(RNG.normal(size=(N, 3)), columns=LABELS[name])
    schema = infer(frame)
    assert Schema.from_json(schema.to_json()) == schema
    drawn = decode(encode(frame, schema), Schema.from_json(schema.to_json()))
    pd.testing.assert_index_equal(
        drawn.columns, frame.columns, exact=name != "range", check_freq=False
    )
    np.testing.assert_array_equal(drawn.to_numpy(), frame.to_numpy())
    some = infer(frame, ignore=[str(frame.columns.tolist()[1])])
    assert decode(encode(frame, some), some).columns.tolist() == frame.columns[[0, 2]].tolist()


def test_labels_that_json_cannot_hold_become_text_with_a_note():
    frame = pd.DataFrame(RNG.normal(size=(N, 2)), columns=pd.interval_range(0, 2))
    with pytest.warns(AevbWarning, match="Interval"):
        schema = infer(frame)
    assert decode(encode(frame, schema), schema).columns.tolist() == ["(0, 1]", "(1, 2]"]


def test_labels_of_other_columns_in_a_file_are_an_error():
    frame = pd.DataFrame(RNG.normal(size=(N, 2)))
    schema = infer(frame).to_json()
    for wrong in ({"labels": [1], "dtype": "int64"}, {"labels": ["a", "b"], "dtype": "int64"}):
        other = Schema.from_json({**schema, "headers": [wrong]})
        with pytest.raises(ModelFileError, match=r"schema\.json"):
            decode(np.zeros((1, 2)), other)
    assert Header((0, 1), "int64") in infer(frame).headers


@pytest.mark.parametrize("name", ["range", "mixed", "tuples"])
def test_estimators_draw_and_decode_with_the_labels_of_the_data(name, tmp_path):
    frame = pd.DataFrame(RNG.normal(size=(N, 3)), columns=LABELS[name])
    vae = VAE(**TINY).fit(frame)
    vae.save(tmp_path / "run")
    for one in (vae, load(tmp_path / "run")):
        assert one.sample(2).columns.equals(frame.columns)
        assert one.inverse_transform(one.transform(frame)).columns.equals(frame.columns)
        assert one.reconstruct(frame).columns.equals(frame.columns)
        assert pd.concat([frame, one.sample(2)]).shape == (N + 2, 3)
    with pytest.raises(AevbError, match=r"order|missing"):
        vae.transform(frame.iloc[:, ::-1])


# Containers


class Tensor:
    """What PyTorch's tensors have in common with this package."""

    def __init__(self, array, dtype="torch.float64", grad=False):
        self.array, self.name, self.grad = array, dtype, grad

    ndim = property(lambda self: self.array.ndim)
    shape = property(lambda self: self.array.shape)
    dtype = property(lambda self: self.name)

    def __len__(self):
        return len(self.array)

    def detach(self):
        return Tensor(self.array, self.name)

    def cpu(self):
        return self

    def float(self):
        return Tensor(self.array.astype(np.float32), "torch.float32")

    def __array__(self, dtype=None, copy=None):
        if self.grad:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad")
        if "bfloat16" in self.name:
            raise TypeError("Got unsupported ScalarType BFloat16")
        return self.array


class ByNumpy:
    """An array whose only way out is .numpy()."""

    def __init__(self, array):
        self.array = array

    def numpy(self):
        return self.array


class ByDlpack:
    """An array that only speaks DLPack."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class Stream:
    """Something of the Arrow stream protocol that is no known table."""

    def __init__(self, table):
        self.table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self.table.__arrow_c_stream__(requested_schema)


EXACT = RNG.integers(0, 256, (N, 2)) / 4  # in bfloat16 too


def jax_array(dtype):
    import jax.numpy as jnp

    return jnp.asarray(EXACT, dtype)


ARRAYS = {
    "tensor": lambda: Tensor(EXACT),
    "tensor of a graph": lambda: Tensor(EXACT, grad=True),
    "tensor of bfloat16": lambda: Tensor(EXACT, "torch.bfloat16", grad=True),
    "numpy()": lambda: ByNumpy(EXACT),
    "dlpack": lambda: ByDlpack(EXACT.copy()),
    "jax": lambda: jax_array("float32"),
    "jax of bfloat16": lambda: jax_array("bfloat16"),
    "ml_dtypes": lambda: EXACT.astype(ml_dtypes.bfloat16),
    "big-endian": lambda: EXACT.astype(">f4"),
    "masked": lambda: np.ma.MaskedArray(EXACT),
    "memory": lambda: memoryview(EXACT),
    "lists": EXACT.tolist,
}


@pytest.mark.parametrize("name", ARRAYS)
def test_every_array_is_read_fitted_and_filled(name):
    data = ARRAYS[name]()
    vae = VAE(**TINY).fit(data)
    np.testing.assert_array_equal(encode(data, infer(data)), EXACT)
    np.testing.assert_array_equal(vae.impute(data), EXACT)
    np.testing.assert_array_equal(vae.score_samples(data), vae.score_samples(EXACT))
    assert fingerprint(data)["rows"] == N
    assert vae.reconstruct(data).shape == EXACT.shape


COLUMNS = {"x": REAL.tolist(), "n": WHOLE.tolist(), "t": TEXT}
RECORDS = [dict(zip(COLUMNS, row, strict=True)) for row in zip(*COLUMNS.values(), strict=True)]
STRUCTURED = np.array(
    list(zip(*COLUMNS.values(), strict=True)), dtype=[("x", ">f8"), ("n", "i8"), ("t", "U1")]
)
TABLES = {
    "records": lambda: RECORDS,
    "columns": lambda: COLUMNS,
    "columns of arrays": lambda: {"x": REAL, "n": Tensor(WHOLE), "t": np.array(TEXT)},
    "structured": lambda: STRUCTURED,
    "recarray": lambda: STRUCTURED.view(np.recarray),
    "record batch": lambda: pa.RecordBatch.from_pydict(COLUMNS),
    "stream": lambda: Stream(pa.table(COLUMNS)),
}


@pytest.mark.parametrize("name", TABLES)
def test_every_table_is_the_same_arrow_table(name):
    data, table = TABLES[name](), pa.table(COLUMNS)
    assert readable(data).equals(table)
    assert fingerprint(data) == fingerprint(table)
    vae = VAE(**TINY).fit(data)
    assert vae.feature_names_in_.tolist() == ["x", "n", "t"]
    assert vae.impute(data).equals(table)
    assert vae.sample(2).column_names == ["x", "n", "t"]


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Name(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


@pytest.mark.parametrize("kind", [Color, Name])
def test_members_of_an_enumeration_are_their_values(kind):
    frame = pd.DataFrame({"c": [kind.RED, kind.BLUE, None] * 5}, dtype=object)
    schema = infer(frame)
    assert schema.columns[0].categories == ("blue", "red")
    np.testing.assert_array_equal(encode(frame, schema)[:3, 0], [1, 0, np.nan])


class Broken:
    ndim, shape, dtype = 2, (3, 1), "float"

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("on another device")


class Elsewhere:
    """A table that is a plan."""

    columns = ("a", "b")

    def compute(self):
        raise AssertionError


def sparse(form):
    import scipy.sparse

    return getattr(scipy.sparse, form)(np.eye(3))


NO_TABLES = {
    "sparse matrix": (lambda: sparse("csr_matrix"), r"\.toarray\(\)"),
    "sparse array": (lambda: sparse("coo_array"), r"\.toarray\(\)"),
    "sparse dict": (lambda: sparse("dok_array"), r"\.toarray\(\)"),
    "plan of polars": (lambda: pl.LazyFrame(COLUMNS), r"\.collect\(\)"),
    "plan elsewhere": (Elsewhere, r"\.compute\(\)"),
    "reader": (lambda: pa.table(COLUMNS).to_reader(), r"\.read_all\(\)"),
    "series of pandas": (lambda: pd.Series([1.0, 2.0]), "two axes"),
    "series of polars": (lambda: pl.Series([1.0, 2.0]), "two axes"),
    "column of arrow": (lambda: pa.array([1.0, 2.0]), "two axes"),
    "chunks of arrow": (lambda: pa.chunked_array([[1.0, 2.0]]), "two axes"),
    "one axis": (lambda: np.arange(3.0), "2 axes"),
    "one axis of a tensor": (lambda: Tensor(np.arange(3.0)), "2 axes"),
    "device": (Broken, "another device"),
    "scalars": (lambda: {"a": 1, "b": 2}, "2 axes"),
    "ragged columns": (lambda: {"a": [1], "b": [1, 2]}, "one length"),
    "mixed columns": (lambda: {"a": [1, "x"]}, "'a'.*int and str"),
    "mixed records": (lambda: [{"a": 1}, {"a": "x"}], "'a'.*int and str"),
    "structures": (lambda: STRUCTURED.reshape(2, -1), r"\.ravel\(\)"),
    "dates": (lambda: np.zeros((3, 2), "M8[s]"), "datetime64"),
    "void": (lambda: np.zeros((3, 2), "V3"), "convert it first"),
    "nothing": (lambda: None, "2 axes"),
    "number": (lambda: 3, "2 axes"),
    "text": (lambda: "data.csv", "2 axes"),
    "interval": (lambda: pd.DataFrame({"c": pd.interval_range(0, 3)}), "'c'.*interval"),
    "period": (lambda: pd.DataFrame({"c": pd.period_range("2024", periods=3)}), "'c'.*period"),
    "mixed levels": (lambda: pd.DataFrame({"c": pd.Categorical([1, "x", 2])}), "'c'.*int and str"),
    "cut": (lambda: pd.DataFrame({"c": pd.cut(REAL, 3)}), "'c'.*Interval"),
}


@pytest.mark.parametrize("name", NO_TABLES)
def test_what_is_no_table_is_one_line_that_says_what_to_do(name):
    make, says = NO_TABLES[name]
    with pytest.raises(DataError, match=says) as error:
        infer(make())
    assert "\n" not in str(error.value)
    with pytest.raises((AevbError, ValueError)):
        VAE(**TINY).fit(make())


# Columns that the model does not use


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_columns_that_are_ignored_may_be_absent_or_anywhere(make):
    columns = {"id": list(map(str, range(N))), "a": REAL, "y": TEXT, "b": REAL**2}
    vae = VAE(**TINY, ignore=["id"], labels=["y"]).fit(make(columns))
    scores = vae.score_samples(make(columns))
    for names in (["a", "b"], ["a", "y", "b"], ["a", "b", "id"], ["y", "a", "id", "b"]):
        rows = make({name: columns[name] for name in names})
        np.testing.assert_array_equal(vae.score_samples(rows), scores)
        assert vae.transform(rows).shape == (N, 1)
        assert list(VAEImputer(vae=vae).fit(rows).transform(rows)[:1]) is not None
        assert VAEOutlierDetector(vae=vae).fit(rows).predict(rows).shape == (N,)
        assert type(vae.reconstruct(rows)) is type(rows)
    for names, says in (
        (["b", "a"], "order"),
        (["b", "a", "id", "y"], "order"),
        (["a"], "missing"),
    ):
        with pytest.raises(ValueError, match=says):
            vae.score_samples(make({name: columns[name] for name in names}))
    with pytest.raises(ValueError, match="unseen"):
        vae.score_samples(make({**columns, "new": REAL}))


def test_the_former_name_of_the_module_still_works():
    import aevb.data

    assert aevb.data.infer is infer
    assert aevb.data.decode is decode
