"""Every bad CSV is refused in one line that names the line and the column."""

import pytest

from scalinglab.commands.arguments import UsageError
from scalinglab.commands.fit_csv import ANY, read_table

GOOD = [
    (1e7 * 4**i, 1e9 * 4**j, 2.0 + 1.0 / (1 + i) + 1.0 / (1 + j))
    for i in (0, 1, 2)
    for j in (0, 1, 2)
]
HEADER = "params,tokens,loss"


def lines_of(rows=GOOD, header=HEADER, separator=","):
    return [header, *(separator.join(str(cell) for cell in row) for row in rows)]


@pytest.fixture
def refused(refusal, tmp_path):
    """Writes the text as runs.csv and fits it; returns the one line, without the folder."""

    def run(text, *more, law="chinchilla", columns=("--inputs", "N=params", "D=tokens")):
        path = tmp_path / "runs.csv"
        if text is not None:
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        arguments = ["--law", law, "--loss-column", "loss", *columns, *more]
        return refusal("fit", str(path), *arguments).replace(f"{tmp_path}/", "")

    return run


def with_cell(line, column, text):
    """The good table with one cell replaced; `line` counts from 1, the header included."""
    rows = [line.split(",") for line in lines_of()]
    rows[line - 1][HEADER.split(",").index(column)] = text
    return "\n".join(",".join(row) for row in rows) + "\n"


@pytest.mark.parametrize(
    ("line", "column", "text", "message"),
    [
        (3, "params", "7B", "line 3, column params: '7B' is not a number: write it as 1234.5"),
        (4, "tokens", "1_000", "line 4, column tokens: '1_000' is not a number"),
        (5, "loss", "", "line 5, column loss: is empty"),
        (6, "loss", "nan", "line 6, column loss: is NaN: leave the row out"),
        (7, "loss", "-Infinity", "line 7, column loss: is infinite"),
        (8, "tokens", "1e999", "line 8, column tokens: '1e999' is not a number"),
        (9, "loss", "-2.5", "line 9, column loss: -2.5 is not positive, and residuals are of its"),
        (10, "loss", "0", "line 10, column loss: 0 is not positive"),
        (2, "params", "-1e7", "line 2, column params: -1e7 is not positive: correct it"),
        (2, "tokens", "0.0", "line 2, column tokens: 0.0 is not positive"),
    ],
)
def test_a_bad_cell_is_named(refused, line, column, text, message):
    assert f"scalinglab: runs.csv: {message}" in refused(with_cell(line, column, text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "runs.csv: no such file: check the path"),
        ("", "runs.csv: is empty"),
        ("\n \n,,\n", "runs.csv: is empty"),
        (HEADER + "\n", "runs.csv: has a header and no rows"),
        ("\n".join(lines_of()[1:]), "runs.csv: line 1 holds only numbers: begin the file with"),
        ("\n".join(lines_of(separator=";", header=HEADER.replace(",", ";"))), "by semicolons"),
        ("\n".join(lines_of(separator="\t", header=HEADER.replace(",", "\t"))), "by tabs: save it"),
        ("\n".join([*lines_of(), "1,2"]), "line 11 has 2 cells, and the header has 3: correct"),
        ("\n".join([*lines_of(), "1,2,3,4"]), "line 11 has 4 cells, and the header has 3"),
        ("\n".join([*lines_of(), '1,2,"3']), "runs.csv: line 11: unexpected end of data"),
        ("\n".join(lines_of()).encode("utf-16"), "is not UTF-8 text: save it as 'CSV UTF-8'"),
        (b"params,tokens,loss\n1,2,\xff\n", "is not UTF-8 text"),
        ("\n".join(lines_of(GOOD[:4])), "runs.csv: 4 rows, and law chinchilla has 5 free param"),
        (
            "\n".join(lines_of([(1e7, *row[1:]) for row in GOOD])),
            "column params: every row has 1e+07, a single scale: law chinchilla needs several",
        ),
    ],
)
def test_a_bad_file_is_refused(refused, text, message):
    assert message in refused(text)


def test_a_folder_is_no_file(refusal, tmp_path):
    message = refusal("fit", str(tmp_path), "--law", "chinchilla", "--loss-column", "loss")
    assert "is a folder: give a CSV file" in message


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (("--inputs", "N=parms", "D=tokens"), "no column 'parms': did you mean 'params'?"),
        (("--inputs", "N=params"), "inputs: law chinchilla reads D: give --inputs D=COLUMN, one"),
        (("--inputs", "N=params", "D=tokens", "S=x"), "inputs: law chinchilla has no input 'S'"),
        (("--inputs", "N=params", "D=loss"), "inputs: D=loss: that is the loss"),
        (("--inputs", "N=params", "N=tokens"), "inputs: N is given twice"),
        (("--inputs", "params"), "--inputs: 'params': give two names as NAME=OTHER"),
        (("--inputs", "N=params", "D=tokens", "--group", "run"), "group: runs.csv has no column"),
    ],
)
def test_a_wrong_column_is_named(refused, columns, message):
    assert message in refused("\n".join(lines_of()), columns=columns)


def test_the_loss_column_is_looked_up_and_required(refusal, tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("\n".join(lines_of()))
    start = ["fit", str(path), "--law", "chinchilla"]
    assert "--loss-column: missing: give the column" in refusal(*start)
    inputs = ["--inputs", "N=params", "D=tokens"]
    message = refusal(*start, *inputs, "--loss-column", "los")
    assert "loss-column" in message
    assert "has no column 'los': did you mean 'loss'?" in message


def test_a_name_that_occurs_twice_is_ambiguous(refused):
    rows = [(*row, 1.0) for row in GOOD]
    text = "\n".join(lines_of(rows, header="params,tokens,loss,loss"))
    assert "loss-column: runs.csv has 2 columns 'loss': rename all but one" in refused(text)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("--weight-column", "-1", "line 4, column extra: -1 is negative: a weight is at least 0"),
        ("--sd-column", "0", "line 4, column extra: 0 is not positive: a standard deviation is"),
        ("--group", "", "line 4, column extra: is empty: give every row a label"),
    ],
)
def test_bad_weights_deviations_and_labels(refused, column, value, message):
    rows = [(*row, value if i == 2 else "1") for i, row in enumerate(GOOD)]
    text = "\n".join(lines_of(rows, header=HEADER + ",extra"))
    assert message in refused(text, column, "extra")


def test_weights_that_leave_too_little(refused):
    rows = [(*row, "1" if i < 3 else "0") for i, row in enumerate(GOOD)]
    text = "\n".join(lines_of(rows, header=HEADER + ",extra"))
    assert "3 rows with a weight, and law" in refused(text, "--weight-column", "extra")
    nothing = "\n".join(lines_of([(*row, "0") for row in GOOD], header=HEADER + ",extra"))
    assert "every weight is 0" in refused(nothing, "--weight-column", "extra")
    both = ("--weight-column", "extra", "--sd-column", "extra")
    assert "give one of the two" in refused(text, *both)


def test_marks_line_ends_blank_lines_and_quotes_are_read(tmp_path):
    """The file begins with the byte-order mark that spreadsheets write, and ends lines as they."""
    path = tmp_path / "runs.csv"
    path.write_bytes(b'\xef\xbb\xbfrun , loss\r\n\r\n"a, b", 1.5\r\n"two\nlines",2.5\r\nc,x\r\n')
    table = read_table(str(path))
    assert table.header == ("run", "loss")
    assert table.cells("loss-column", "run") == ["a, b", "two\nlines", "c"]
    assert table.lines == (3, 4, 6)
    with pytest.raises(UsageError, match="line 6, column loss: 'x' is not a number"):
        table.numbers("loss-column", "loss", ANY)
