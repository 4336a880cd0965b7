"""Numbers, words and dates as people write them: read by one format per column, written by it."""

import string
import time
from datetime import datetime, timedelta
from itertools import product

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aevb.errors import DataError
from aevb.table.clocks import PATTERNS, UNITS, Shapes
from aevb.table.formats import Booleans, Habits, Numbers, Plain, Times, learn, study

SETTINGS = settings(deadline=None, derandomize=True, max_examples=150)


# What is learned


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (["1,234.50", "7.25"], [1234.5, 7.25]),
        (["1.234,50", "7,25"], [1234.5, 7.25]),
        (["1 234,50", "7,25"], [1234.5, 7.25]),
        (["1\u00a0234,50", "1\u202f234\u202f567"], [1234.5, 1234567]),
        (["1'234", "5"], [1234, 5]),
        (["1,234", "999"], [1234, 999]),
        (["0,123", "1,234"], [0.123, 1.234]),
        (["1,234", "1,5"], [1.234, 1.5]),
        (["$5.00", "$1,005.10"], [5, 1005.1]),
        (["-$5", "$-6", "$7"], [-5, -6, 7]),
        (["($5.00)", "$1.00"], [-5, 1]),
        (["US$ 5", "US$ 7"], [5, 7]),
        (["5 €", "7€"], [5, 7]),
        (["EUR 5", "EUR 7"], [5, 7]),
        (["45%", "3.5 %"], [45, 3.5]),
        (["5 kg", "7kg"], [5, 7]),
        (["12 km/h", "7 km/h"], [12, 7]),
        (["+5", "-3", "0"], [5, -3, 0]),
        ([" 5", "6 ", "\t7"], [5, 6, 7]),
        (["1e3", "2.5E-2", ".5", "5."], [1000, 0.025, 0.5, 5]),
        (["\u22125", "3"], [-5, 3]),
    ],
)
def test_numbers_as_people_write_them(texts, values):
    form = learn(texts)
    assert isinstance(form, Numbers)
    assert form.read(texts).tolist() == values


@pytest.mark.parametrize(
    "texts",
    [
        ["02138", "94110"],
        ["007", "7"],
        ["0x1F", "0x2A"],
        ["0b11", "0b10"],
        ["0o17", "0o14"],
        ["1_000", "2_000"],
        ["12a", "13b"],
        ["5 kg", "7 lb"],
        ["5%", "0.5"],
        ["$5", "7"],
        ["1.234.5", "3"],
        ["1,23,4", "3"],
        ["192.168.1.1", "10.0.0.1"],
        ["20220902110443000000", "20220902110443000007"],
        ["A7", "10", "20"],
        ["1-2", "3-4"],
        ["(5", "6"],
        ["(-5)", "6"],
        ["true", "false", "unknown"],
        ["NA", "NA"],
        ["none", "none", "1", "2"][:3],
        ["2024-01-05", "never"],
        ["2024-02-30", "2024-02-28"],
    ],
)
def test_what_no_format_reads_is_text(texts):
    assert learn(texts) == Plain()


MARKS = ["?", "-", "--", ".", "NA", "na", "N/A", "n.a.", "None", "none", "null", "NULL", "nan"]
MARKS += ["NaN", "missing", "#DIV/0!", "#N/A", " ", "", "NA "]


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("cells", [["5", "7.5", "6"], ["$5", "$7", "$1,000"], ["2024-01-05"] * 3])
def test_marks_of_missing_numbers_and_dates(mark, cells):
    learned = study([*cells, mark])
    assert not isinstance(learned.format, Plain)
    assert np.isnan(learned.format.read([*cells, mark])).tolist() == [False] * 3 + [True]
    assert learned.missing == {mark: 1}
    assert learned.format == learn(cells)


def test_a_word_among_numbers_is_said_or_counts_as_missing_where_numbers_are_asked_for():
    texts = [*map(str, range(50, 150)), "unknown", "unknown", "n/k"]
    learned = study(texts)
    assert (learned.format, learned.doubt) == (Plain(), "words")
    assert (learned.strange, learned.example) == (3, "unknown")
    asked = study(texts, numbers=True)
    assert asked.format.marks == ("n/k", "unknown")
    assert asked.missing == {"unknown": 2, "n/k": 1}
    assert np.isnan(asked.format.read(texts)).sum() == 3


def test_codes_are_numbers_where_numbers_are_asked_for():
    form = learn(["02138", "94110"], numbers=True)
    assert form.read(["02138", "94110"]).tolist() == [2138, 94110]


def test_whole_numbers_that_float64_would_round_name_their_cell():
    texts = ["5", "20220902110443000001"]
    assert study(texts).doubt == "too long"
    with pytest.raises(DataError, match=r"'id', row 1 .*20220902110443000001.*ignore=\['id'\]"):
        learn(texts, numbers=True).read(texts, "id")


def test_what_is_ambiguous_is_read_as_the_other_columns_are():
    assert study(["1,234"]).decimals == {".", ","}
    assert learn(["1,234"]).read(["1,234"]) == [1234]
    assert learn(["1,234"], Habits(decimal=",")).read(["1,234"]) == [1.234]
    assert learn(["1.234"], Habits(decimal=",")).read(["1.234"]) == [1234]
    assert learn(["1.25"], Habits(decimal=",")).read(["1.25"]) == [1.25]
    assert study(["01/02/2024"]).doubt == "day or month"
    assert learn(["01/02/2024"], Habits(order="day")).pattern == "%d/%m/%Y"
    assert learn(["01/02/2024"], Habits(order="month")).pattern == "%m/%d/%Y"
    assert learn(["01/02/2024"], numbers=True).pattern == "%m/%d/%Y"


def test_booleans_keep_their_words():
    assert learn(["TRUE", None, "FALSE"]) == Booleans(("FALSE", "TRUE"))
    assert learn(["True"]) == Booleans(("False", "True"))
    assert learn(["true", "NA"]) == Plain()
    assert Booleans().write(Booleans().read(["true", None, "FALSE"])) == ["true", None, "false"]


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("1970-01-03", "day", 2),
        ("1970/01/03", "day", 2),
        ("03.01.1970", "day", 2),
        ("01/13/1970", "day", 12),
        ("13/01/1970", "day", 12),
        ("13/1/70", "day", 12),
        ("3 Jan 1970", "day", 2),
        ("03-Jan-1970", "day", 2),
        ("January 3, 1970", "day", 2),
        ("1970-03", "month", 2),
        ("03/1970", "month", 2),
        ("Mar 1970", "month", 2),
        ("1970-01-03 00:00", "day", 2),
        ("1970-01-01T01:30", "minute", 90),
        ("1970-01-01 00:00:02", "second", 2),
        ("1970-01-01T00:00:00.002Z", "millisecond", 2),
        ("1970-01-01T00:00:00.000002", "microsecond", 2),
        ("1970-01-01T01:30:00+02:00", "minute", 90),
        ("01:30", "minute", 90),
        ("00:00:02", "second", 2),
        ("1:30 PM", "minute", 810),
        ("12:15 AM", "minute", 15),
    ],
)
def test_dates_and_times_count_units(text, unit, value):
    form = learn([text])
    assert form.unit == unit
    assert form.read([text]).tolist() == [value]
    assert form.write([value]) == [text]


def test_moments_are_those_of_the_calendar():
    """Whatever the shape of the text; a day or an hour that there is not is no moment."""
    clocks = {"7:05:00": (7, 5, 0), "23:59:60": (23, 59, 60), "19:00:59.25": (19, 0, 59, 250_000)}
    clocks["24:00:00"] = (24, 0, 0)
    texts, truth = [], []
    for year, month, day in product((0, 1600, 1900, 2023, 2024), range(14), range(33)):
        for clock, parts in clocks.items():
            texts.append(f"{day}/{month}/{year:04d} {clock}")
            try:
                since = datetime(year, month, day, *parts) - datetime(1970, 1, 1)
            except ValueError:
                truth.append(np.nan)
            else:
                truth.append(since // timedelta(microseconds=1))
    moments = Shapes.of(pa.array(texts)).moments("%d/%m/%Y %H:%M:%S")
    assert moments.said.any()
    np.testing.assert_array_equal(np.where(moments.said, moments.utc, np.nan), truth)


def test_mixed_zones_are_brought_to_utc():
    learned = study(["2024-01-01T00:30:00+02:00", "2024-07-01T00:30:00+01:00"])
    assert learned.zones == 2
    values = learned.format.read(["2024-01-01T00:30:00+02:00"])
    assert learned.format.write(values) == ["2023-12-31T22:30:00+00:00"]


# Laws


@st.composite
def number_formats(draw):
    decimal = draw(st.sampled_from(".,"))
    marks = [mark for mark in ["", ",", ".", " ", "\u00a0", "\u202f", "'"] if mark != decimal]
    signs = [("", ""), ("$", ""), ("US$ ", ""), ("", " €"), ("", "%"), ("", " kg"), ("EUR ", "")]
    prefix, suffix = draw(st.sampled_from(signs))
    decimals = draw(st.none() | st.integers(0, 9))
    return Numbers(
        thousands=draw(st.sampled_from(marks)),
        decimal=decimal,
        prefix=prefix,
        suffix=suffix,
        decimals=decimals,
        least=draw(st.integers(0, 3 if decimals is None else decimals)),
        parentheses=draw(st.booleans()),
        plus=draw(st.booleans()),
    )


@SETTINGS
@given(number_formats(), st.lists(st.integers(-(10**12), 10**12), min_size=1), st.data())
def test_numbers_are_read_as_they_were_written(form, whole, data):
    places = data.draw(st.integers(0, 3))
    if form.decimals is not None:
        places = form.decimals
    values = np.array([float(f"{number}e-{places}") for number in whole])
    texts = form.write(values)
    np.testing.assert_array_equal(form.read(texts), values)
    assert form.write(form.read(texts)) == texts


@SETTINGS
@given(
    st.lists(st.floats(allow_infinity=False), min_size=1),
    st.sampled_from([Numbers(), Numbers(least=2), Numbers(prefix="$", thousands=",")]),
)
def test_any_float_is_read_as_it_was_written(values, form):
    np.testing.assert_array_equal(form.read(form.write(values)), values)


@SETTINGS
@given(number_formats(), st.lists(st.integers(-(10**9), 10**9), min_size=5), st.randoms())
def test_what_was_written_is_learned_whatever_the_order(form, whole, random):
    places = form.decimals if form.decimals is not None else 2
    values = np.array([float(f"{number}e-{places}") for number in whole])
    texts = form.write(values)
    learned = learn(texts)
    assert learn(random.sample(texts, len(texts))) == learned
    habits = Habits(decimal=form.decimal)
    found = learn(texts, habits)
    if isinstance(found, Numbers) and (form.thousands or form.decimal == "."):
        np.testing.assert_array_equal(found.read(texts), values)
        assert found.write(values) == texts


CELLS = st.one_of(
    st.none(),
    st.sampled_from([*MARKS, "true", "FALSE", "007", "1,234", "1.234", "01/02/2024", "5 kg", "12"]),
    st.text(max_size=6),
    st.text(string.digits + "+-.,%$ €()eE/:", max_size=8),
)


@SETTINGS
@given(st.lists(CELLS, max_size=12), st.randoms(), st.booleans())
def test_any_texts_are_learned_whatever_their_order_and_read(texts, random, numbers):
    learned = study(texts, numbers=numbers)
    again = study(random.sample(texts, len(texts)), numbers=numbers)
    assert learned == again
    assert study(pa.chunked_array([pa.array(texts, pa.string())]), numbers=numbers) == learned
    if isinstance(learned.format, Plain):
        return
    try:
        values = learned.format.read(texts)
    except DataError:
        assert numbers  # a number that float64 would round, of a column said to hold numbers
        return
    missing = [text is None or text in learned.missing for text in texts]
    np.testing.assert_array_equal(np.isnan(values), missing)
    assume(np.isfinite(values[~np.isnan(values)]).all())
    written = learned.format.write(values)
    np.testing.assert_array_equal(learned.format.read(written), values)


@SETTINGS
@given(st.sampled_from(PATTERNS[1:]), st.data())
def test_times_are_read_as_they_were_written(pattern, data):
    months = "%d" not in pattern and "%M" not in pattern
    fine = [unit for unit in UNITS if unit in ("day", "minute") or "%S" in pattern]
    if months:
        fine = ["month"]
    elif "%M" not in pattern:
        fine = ["day"]
    elif "%d" not in pattern:
        fine.remove("day")
    unit = data.draw(st.sampled_from(fine))
    form = Times(
        pattern,
        unit,
        zone=data.draw(st.sampled_from(["", "Z", "+02:00", "-0330"])) if "M" in pattern else "",
        padded=data.draw(st.booleans()),
        decimals=6 if "%S" in pattern else 0,
    )
    if "%d" not in pattern or "%M" not in pattern:
        form = Times(pattern, unit, padded=form.padded, decimals=form.decimals)
    least, most = form.of_microseconds(np.array(form._limits()))
    values = np.array(data.draw(st.lists(st.integers(int(least), int(most)), min_size=1)), float)
    texts = form.write(values)
    np.testing.assert_array_equal(form.read(texts), values)
    assert form.write(form.read(texts)) == texts


@pytest.mark.parametrize("form", [Times(), Times("%d/%m/%y"), Times("%H:%M", "minute")])
def test_times_beyond_a_pattern_are_its_first_or_last(form):
    first, last = form.write([-1e12, 1e12])
    assert form.read([first]) < form.read([last])
    assert form.write(form.read([first, last])) == [first, last]


@pytest.mark.parametrize("cell", ["abc", "1.2.3", "$5", "5 kg", "", "(5", "1e", "12:30"])
def test_a_cell_that_cannot_be_read_is_named(cell):
    texts = ["1", None, cell or "x", "2"]
    with pytest.raises(DataError, match=r"column 'price', row 2 \(counting from 0\).*got '"):
        Numbers(decimals=0).read(texts, "price")
    with pytest.raises(DataError, match=r"column 'day', row 0 .*a date such as 1970-01-01"):
        Times().read([cell or "x"], "day")


@pytest.mark.parametrize("piece", ["1", "1 ", " ", "(", "1,234", "$", "1'", "-", "1e", "0.", "1/"])
def test_long_cells_take_no_time(piece):
    cells = [piece * 100_000 + ending for ending in ("", "x", ")")]
    start = time.process_time()
    for texts in (cells, [*cells, "5"], [*["$5.00"] * 9, *cells]):
        study(texts)
        study(texts, numbers=True)
        with pytest.raises(DataError):
            Numbers(prefix="$", thousands=",").read(texts)
    assert time.process_time() - start < 2


def test_plain_numbers_are_learned_fast():
    values = np.random.default_rng(0).normal(size=200_000).round(3)
    texts = pa.array(map(str, values.tolist()))
    start = time.process_time()
    form = learn(texts)
    read = form.read(texts)
    assert time.process_time() - start < 0.5
    np.testing.assert_array_equal(read, values)


def test_a_whole_number_of_a_decimal_comma_has_no_point():
    form = Numbers(decimal=",", decimals=0)
    np.testing.assert_array_equal(form.read(["1", "2"]), [1, 2])
    with pytest.raises(DataError, match=r"1\.500"):
        form.read(["1.500", "2"])


def test_the_first_wrong_cell_is_named():
    with pytest.raises(DataError, match=r"row 1 .*'zz'"):
        Numbers().read(["5", "zz", "9", "aa"], "n")
