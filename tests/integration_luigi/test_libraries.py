"""What libraries write to an open target: the same bytes as to a luigi.LocalTarget, in every format."""

from __future__ import annotations

import csv
import importlib
import io
import json
import logging
import pickle
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import luigi
import pytest
from luigi.format import UTF8, Bzip2, Format, Gzip, MixedUnicodeBytes, NewlineFormat, Nop, SysNewLine, Text
from luigi.local_target import LocalTarget

from luigi_atomik import AtomicLocalTarget
from support.needs import need_module, need_tool

FORMATS: dict[str, Format | None] = {
    "default": None,
    "Text": Text,
    "UTF8": UTF8,
    "Nop": Nop,
    "SysNewLine": SysNewLine,
    "NewlineFormat": NewlineFormat("\r\n"),
    "MixedUnicodeBytes": MixedUnicodeBytes,
    "Gzip": Gzip,
    "Bzip2": Bzip2,
    "UTF8 over Gzip": UTF8 >> Gzip,
    "Text over newlines": Text >> NewlineFormat("\n"),
}
ROWS = [{"a": 1, "b": "one"}, {"a": 2, "b": "zwölf"}]


def _pandas() -> Any:
    import pandas as pd

    return pd.DataFrame(ROWS)


def _polars() -> Any:
    import polars as pl

    return pl.DataFrame(ROWS)


def _arrow() -> Any:
    import pyarrow as pa

    return pa.table({"a": [1, 2], "b": ["one", "zwölf"]})


def _through_logging(file: Any) -> None:
    handler = logging.StreamHandler(file)
    try:
        record = logging.LogRecord("x", logging.INFO, __file__, 1, "a line", None, None)
        handler.emit(record)
        handler.flush()
    finally:
        handler.close()


def _through_zipfile(file: Any) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo("member"), "content")


def _through_text(file: Any) -> None:
    wrapper = io.TextIOWrapper(file, "utf-8")
    wrapper.write("zwölf")
    wrapper.flush()
    wrapper.detach()


def _write_arrow(file: Any, module: str, name: str) -> None:
    getattr(importlib.import_module(f"pyarrow.{module}"), name)(_arrow(), file)


def _write_ipc(file: Any) -> None:
    import pyarrow as pa

    with pa.ipc.new_file(file, _arrow().schema) as writer:
        writer.write_table(_arrow())


#: How libraries write to a file, and what has to be installed for it.
WRITERS: dict[str, tuple[Callable[[Any], object], str | None]] = {
    "pandas to_csv": (lambda file: _pandas().to_csv(file), "pandas"),
    "pandas to_csv as bytes": (lambda file: _pandas().to_csv(file, mode="wb"), "pandas"),
    "pandas to_json": (lambda file: _pandas().to_json(file), "pandas"),
    "pandas to_html": (lambda file: _pandas().to_html(file), "pandas"),
    "pandas to_string": (lambda file: _pandas().to_string(file), "pandas"),
    "pandas to_pickle": (lambda file: _pandas().to_pickle(file), "pandas"),
    "pandas to_parquet": (lambda file: _pandas().to_parquet(file, engine="pyarrow"), "pandas pyarrow"),
    "pandas to_feather": (lambda file: _pandas().to_feather(file), "pandas pyarrow"),
    "pandas to_stata": (
        lambda file: _pandas()[["a"]].to_stata(file, time_stamp=luigi.DateParameter().parse("2000-01-01")),
        "pandas",
    ),
    "polars write_csv": (lambda file: _polars().write_csv(file), "polars"),
    "polars write_ndjson": (lambda file: _polars().write_ndjson(file), "polars"),
    "polars write_parquet": (lambda file: _polars().write_parquet(file), "polars"),
    "polars write_ipc": (lambda file: _polars().write_ipc(file), "polars"),
    "polars sink_csv": (lambda file: _polars().lazy().sink_csv(file), "polars"),
    "pyarrow write_table": (lambda file: _write_arrow(file, "parquet", "write_table"), "pyarrow"),
    "pyarrow write_csv": (lambda file: _write_arrow(file, "csv", "write_csv"), "pyarrow"),
    "pyarrow write_feather": (lambda file: _write_arrow(file, "feather", "write_feather"), "pyarrow"),
    "pyarrow ipc": (_write_ipc, "pyarrow"),
    "numpy save": (lambda file: importlib.import_module("numpy").save(file, [1, 2]), "numpy"),
    "numpy savez": (lambda file: importlib.import_module("numpy").savez(file, a=[1, 2]), "numpy"),
    "numpy savetxt": (lambda file: importlib.import_module("numpy").savetxt(file, [1.0, 2.0]), "numpy"),
    "numpy tofile": (lambda file: importlib.import_module("numpy").arange(3).tofile(file), "numpy"),
    "yaml dump": (lambda file: importlib.import_module("yaml").safe_dump(ROWS, file), "yaml"),
    "yaml dump encoded": (lambda file: importlib.import_module("yaml").safe_dump(ROWS, file, encoding="utf-8"), "yaml"),
    "csv": (lambda file: csv.writer(file).writerows([["a", "b"], [1, "zwölf"]]), None),
    "csv.DictWriter": (lambda file: csv.DictWriter(file, ["a", "b"]).writerows(ROWS), None),
    "json": (lambda file: json.dump(ROWS, file), None),
    "pickle": (lambda file: pickle.dump(ROWS, file), None),
    "zipfile": (_through_zipfile, None),
    "logging": (_through_logging, None),
    "print": (lambda file: print("zwölf", file=file, flush=True), None),
    "writelines": (lambda file: file.writelines(["a\n", "b\n"]), None),
    "writelines of bytes": (lambda file: file.writelines([b"a\n", b"b\n"]), None),
    "subprocess": (lambda file: subprocess.run(["echo", "x"], stdout=file, check=True), None),
    "reconfigure": (lambda file: file.reconfigure(newline="\r\n", write_through=True) or file.write("x\n"), None),
    "detach": (lambda file: file.detach().write(b"x"), None),
    "TextIOWrapper": (_through_text, None),
    "seek": (lambda file: (file.write(b"xy"), file.seek(0), file.write(b"z")), None),
    "tell and truncate": (lambda file: (file.write("xyz"), file.tell(), file.truncate()), None),
}

QUESTIONS: dict[str, Callable[[Any], object]] = {
    "text type": lambda file: issubclass(type(file), io.TextIOBase),
    "text instance": lambda file: isinstance(file, io.TextIOWrapper),
    "binary type": lambda file: issubclass(type(file), io.BufferedWriter),
    "binary instance": lambda file: isinstance(file, io.RawIOBase | io.BufferedIOBase),
    "mode": lambda file: file.mode,
    "encoding": lambda file: file.encoding,
    "errors": lambda file: file.errors,
    "newlines": lambda file: file.newlines,
    "line_buffering": lambda file: file.line_buffering,
    "readable": lambda file: file.readable(),
    "writable": lambda file: file.writable(),
    "seekable": lambda file: file.seekable(),
    "isatty": lambda file: file.isatty(),
    "closed": lambda file: file.closed,
    "tell": lambda file: file.tell(),
    "fileno": lambda file: type(file.fileno()),
    "name": lambda file: type(file.name),
    "path": lambda file: file.path,
    "tmp_path": lambda file: type(file.tmp_path),
    "buffer": lambda file: issubclass(type(file.buffer), io.BufferedWriter),
    "attribute": lambda file: setattr(file, "anything", 1),
}


def attempt(target: LocalTarget, action: Callable[[Any], object]) -> object:
    """What an action with the open target returns, or the kind of error that it raises."""
    file = target.open("w")
    try:
        answer = action(file)
    except Exception as error:
        return type(error).__name__
    finally:
        file.close()
    return answer


def content(target: LocalTarget, write: Callable[[Any], object]) -> tuple[bytes | None, str]:
    """What is there after a library has written to a target in a `with` block; the kind of error, if there was one."""
    error = ""
    try:
        with target.open("w") as file:
            write(file)
    except Exception as caught:
        error = type(caught).__name__
    path = Path(target.path)
    return (path.read_bytes() if path.exists() else None), error


def without_time(data: bytes | None, format_: Format | None) -> bytes | None:
    """The data, without the time of the run that gzip stores."""
    return data[:4] + data[8:] if data and format_ is not None and data[:2] == b"\x1f\x8b" else data


@pytest.mark.leaks_descriptors  # those of polars and pyarrow, which start threads of their own
@pytest.mark.filterwarnings("ignore")  # of the libraries, and of Luigi about mixed text and bytes
@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "writer",
    [pytest.param(name, marks=pytest.mark.system if modules else ()) for name, (_, modules) in WRITERS.items()],
)
def test_a_library_writes_the_same_as_to_a_local_target(tmp_path, writer, name):
    """Every library, with every format: the same bytes, or the same kind of error, as with LocalTarget."""
    need_tool("gzip", "bzip2")
    write, modules = WRITERS[writer]
    need_module(*(modules or "").split())
    format_ = FORMATS[name]
    expected, wrong = content(LocalTarget(tmp_path / "plain", format_), write)
    got, error = content(AtomicLocalTarget(tmp_path / "atomic", format_), write)

    assert wrong == error
    if not wrong:
        assert without_time(expected, format_) == without_time(got, format_)
    else:
        assert got is None


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("question", QUESTIONS)
def test_an_open_target_answers_as_a_local_target(tmp_path, question, name):
    """What libraries ask of a file gets the answer that LocalTarget's file gives."""
    need_tool("gzip", "bzip2")
    path, format_ = tmp_path / "x", FORMATS[name]

    expected = attempt(LocalTarget(path, format_), QUESTIONS[question])
    path.unlink(missing_ok=True)
    assert expected == attempt(AtomicLocalTarget(path, format_), QUESTIONS[question])


@pytest.mark.system
def test_pandas_writes_a_csv_with_the_default_format(tmp_path):
    """The most common pattern of all, `df.to_csv(file)`, makes the file when the block ends, and not before."""
    need_module("pandas")
    target = AtomicLocalTarget(tmp_path / "x.csv")
    with target.open("w") as file:
        _pandas().to_csv(file, index=False)
        assert not target.exists()

    assert "a,b\n1,one\n2,zwölf\n" == Path(target.path).read_text("utf-8")
