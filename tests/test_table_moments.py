"""Dates, times and durations of every container: numbers on their own grid, and the type again."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from aevb.errors import DataError
from aevb.table import decode, encode, infer
from aevb.table.encoding import missing_cells
from aevb.table.schema import Schema

DAYS = pd.date_range("2024-02-27", periods=24, freq="37h")
ZONED = DAYS.tz_localize("Europe/Berlin")
SPANS = pd.to_timedelta(np.arange(24) * 90, "min")
DATES = [datetime.date(2024, 2, 1) + datetime.timedelta(days=i) for i in range(24)]
CLOCKS = [datetime.time(i, 15) for i in range(24)]


def arrow(name, cells, kind):
    return pa.table({name: pa.array(cells, kind)})


TABLES = {
    **{
        f"pandas {unit}": pd.DataFrame({"t": DAYS.as_unit(unit)}, index=range(50, 74))
        for unit in ("s", "ms", "us", "ns")
    },
    "pandas zone": pd.DataFrame({"t": ZONED}),
    "pandas zone west": pd.DataFrame({"t": DAYS.tz_localize("America/New_York")}),
    "pandas zone ns": pd.DataFrame({"t": ZONED.as_unit("ns")}),
    "pandas span": pd.DataFrame({"t": SPANS.as_unit("ns")}),
    "pandas dates": pd.DataFrame({"t": pd.Series(DATES, dtype=object)}),
    "pandas moments": pd.DataFrame({"t": pd.Series(DAYS.to_pydatetime().tolist(), dtype=object)}),
    "pandas arrow": pd.DataFrame({"t": DAYS}).astype({"t": "timestamp[ns][pyarrow]"}),
    "pandas arrow zone": pd.DataFrame({"t": ZONED}).astype(
        {"t": pd.ArrowDtype(pa.timestamp("us", "Europe/Berlin"))}
    ),
    "polars": pl.DataFrame({"t": DAYS.to_pydatetime().tolist()}),
    "polars ns": pl.DataFrame({"t": DAYS.to_pydatetime().tolist()}).cast(pl.Datetime("ns")),
    "polars zone": pl.DataFrame({"t": DAYS.to_pydatetime().tolist()}).with_columns(
        pl.col("t").dt.replace_time_zone("America/New_York")
    ),
    "polars date": pl.DataFrame({"t": DATES}),
    "polars span": pl.DataFrame({"t": SPANS.to_pytimedelta().tolist()}),
    "polars clock": pl.DataFrame({"t": CLOCKS}),
    "arrow date32": arrow("t", DATES, pa.date32()),
    "arrow date64": arrow("t", DATES, pa.date64()),
    "arrow s": arrow("t", DAYS.to_pydatetime().tolist(), pa.timestamp("s")),
    "arrow zone": arrow("t", ZONED.to_pydatetime().tolist(), pa.timestamp("ms", "Europe/Berlin")),
    "arrow span": arrow("t", SPANS.to_pytimedelta().tolist(), pa.duration("ms")),
    "arrow time32": arrow("t", CLOCKS, pa.time32("s")),
    "arrow time64": arrow("t", CLOCKS, pa.time64("ns")),
}


def cells_of(table):
    if isinstance(table, pd.DataFrame):
        return table["t"].tolist()
    return table["t"].to_pylist() if isinstance(table, pa.Table) else table["t"].to_list()


def type_of(table):
    if isinstance(table, pd.DataFrame):
        return table["t"].dtype
    return table["t"].type if isinstance(table, pa.Table) else table["t"].dtype


@pytest.mark.parametrize("name", TABLES)
def test_times_come_back_in_their_type(name):
    table = TABLES[name]
    schema = infer(table)
    column = schema.columns[0]
    assert (column.kind, column.resolution) == ("continuous", 1)
    assert Schema.from_json(schema.to_json()) == schema
    values = encode(table, schema)
    assert (values == np.rint(values)).all()
    for back in (decode(values, schema), decode(values, schema, like=table)):
        assert type_of(back) == type_of(table)
        assert cells_of(back) == cells_of(table)


@pytest.mark.parametrize("name", TABLES)
def test_missing_times_are_filled_in_and_the_others_stay(name):
    table = TABLES[name]
    schema = infer(table)
    if isinstance(table, pd.DataFrame):
        holed = table.copy()
        holed.iloc[3, 0] = None
    elif isinstance(table, pl.DataFrame):
        holed = pl.concat([table[:3], pl.DataFrame({"t": [None]}, schema=table.schema), table[4:]])
    else:
        cells = table["t"].to_pylist()
        holed = pa.table({"t": pa.array([*cells[:3], None, *cells[4:]], type_of(table))})
    values = encode(holed, schema)
    assert np.isnan(values[:, 0]).tolist() == [row == 3 for row in range(24)]
    filled = np.where(np.isnan(values), encode(table, schema), values)
    back = decode(filled, schema, like=holed, filled=missing_cells(holed, schema))
    assert type_of(back) == type_of(table)
    assert cells_of(back) == cells_of(table)
    if isinstance(table, pd.DataFrame):
        assert back.index.equals(table.index)


@pytest.mark.parametrize(
    ("cells", "unit"),
    [
        (pd.date_range("2024-01-01", periods=9, freq="D"), "day"),
        (pd.date_range("2024-01-01", periods=9, freq="6h"), "hour"),
        (pd.date_range("2024-01-01", periods=9, freq="90s"), "second"),
        (pd.date_range("2024-01-01", periods=9, freq="5ms"), "millisecond"),
        (pd.date_range("2024-01-01", periods=9, freq="5us"), "microsecond"),
    ],
)
def test_the_grid_is_the_coarsest_unit_that_counts_all(cells, unit):
    assert infer(pd.DataFrame({"t": cells})).columns[0].format.unit == unit


def test_samples_are_clipped_to_what_the_type_holds():
    for unit in ("ns", "us"):
        frame = pd.DataFrame({"t": DAYS.as_unit(unit)})
        early, late = decode(np.array([[-1e18], [1e18]]), infer(frame))["t"]
        assert early < pd.Timestamp("1700-01-01") < pd.Timestamp("2200-01-01") < late
    spans = pd.DataFrame({"t": SPANS.as_unit("ns")})
    assert decode(np.array([[1e18]]), infer(spans))["t"][0] > pd.Timedelta(days=100_000)
    assert decode(np.array([[-1e18]]), infer(spans))["t"][0] == pd.Timedelta(0)  # no span is less
    clocks = infer(pl.DataFrame({"t": CLOCKS}))
    assert decode(np.array([[-5.0], [1e6]]), clocks)["t"].to_list() == [
        datetime.time(0),
        datetime.time(23, 59),
    ]


def test_the_ends_of_a_type_are_read():
    ends = pd.DataFrame({"t": [pd.Timestamp.min.ceil("us"), pd.Timestamp.max.floor("us")] * 3})
    schema = infer(ends)
    assert np.isfinite(encode(ends, schema)).all()
    assert decode(encode(ends, schema), schema)["t"].dtype == ends["t"].dtype


def test_moments_of_two_zones_are_the_same_moments():
    schema = infer(pd.DataFrame({"t": ZONED}))
    elsewhere = pd.DataFrame({"t": ZONED.tz_convert("Asia/Tokyo")})
    values = encode(elsewhere, schema)
    np.testing.assert_array_equal(values, encode(pd.DataFrame({"t": ZONED}), schema))
    assert decode(values, schema)["t"].tolist() == ZONED.tolist()


def test_arrays_of_objects_keep_their_dates():
    array = np.array([[day, i % 7 + 0.5] for i, day in enumerate(DATES)], dtype=object)
    schema = infer(array)
    assert decode(encode(array, schema), schema).tolist() == array.tolist()


def test_times_have_no_other_kind_and_no_other_family():
    frame = pd.DataFrame({"t": DAYS, "x": np.arange(24) / 7})
    with pytest.raises(DataError, match=r"'t': .*'categorical'.*continuous"):
        infer(frame, columns={"t": "categorical"})
    schema = infer(frame)
    with pytest.raises(DataError, match=r"'t': expected dates or times.*got numbers"):
        encode(frame.assign(t=1.5), schema)
    with pytest.raises(DataError, match=r"'x': expected numbers.*got dates or times"):
        encode(frame.assign(x=DAYS), schema)


@pytest.mark.parametrize("step", [1, 5, 7, 60])
def test_times_of_a_day_are_before_midnight_and_durations_are_not_negative(step):
    steps = np.tile(np.arange(1, 21) * step, 2)
    midnight = datetime.datetime(2024, 1, 1)
    spans = [datetime.timedelta(minutes=int(n)) for n in steps]
    clocks = [(midnight + span).time() for span in spans]
    schema = infer(pa.table({"clock": clocks, "span": spans}))
    drawn = decode(np.array([[-99.0, -99.0], [1e6, 1e6]]), schema).to_pydict()
    assert drawn["clock"][0] == datetime.time(0)
    assert drawn["span"][0] == datetime.timedelta(0)
    last = drawn["clock"][1].hour * 60 + drawn["clock"][1].minute
    assert last % step == 0
    assert last + step >= 24 * 60
    assert drawn["span"][1] > datetime.timedelta(days=365)


def test_dates_have_no_ends():
    days = np.repeat(np.arange("2024-01-01", "2024-02-01", dtype="datetime64[D]"), 40)
    (column,) = infer(pd.DataFrame({"day": days.astype("datetime64[s]")})).columns
    assert (column.lower, column.upper) == (None, None)
