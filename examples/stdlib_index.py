"""Index the standard library of the Python that runs this: what is in each of its modules?

    python stdlib_index.py OUT [--overwrite] [--without-tests]

writes `OUT/modules.csv`, a row for each module, and `OUT/by_package/`, a file for each package and an `INDEX.csv` with
their digests. Both are published by Atomik when they are complete: whoever looks sees no index, the index before or
the whole new one, even if this process is killed while it writes.
"""

import argparse
import ast
import csv
import hashlib
import itertools
import sys
import sysconfig
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import atomik

COLUMNS = ("module", "package", "lines", "functions", "classes", "imports")
TOP_LEVEL = "_top_level"
TESTS = {"test", "tests", "idle_test"}
BETWEEN_UPDATES = 0.1


@dataclass(frozen=True)
class Module:
    """What the index says about one module."""

    name: str
    package: str
    lines: int
    functions: int
    classes: int
    imports: tuple[str, ...]

    def row(self) -> tuple[str | int, ...]:
        """Give the values of `COLUMNS`."""
        return (self.name, self.package, self.lines, self.functions, self.classes, " ".join(self.imports))


def find_modules(*, tests: bool) -> list[tuple[str, str, Path]]:
    """List package, name and source of each module, in the order of the packages."""
    root = Path(sysconfig.get_path("stdlib"))
    found = []
    for source in root.rglob("*.py"):
        parts = source.relative_to(root).with_suffix("").parts
        if not all(part.isidentifier() for part in parts):
            continue  # site-packages and the like
        if not tests and not TESTS.isdisjoint(parts):
            continue
        package = ".".join(parts[:-1]) or TOP_LEVEL
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found.append((package, name, source))
    return sorted(found)


def statements(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Walk through statements only, since functions, classes and imports are nowhere else."""
    for node in body:
        yield node
        for field in ("body", "orelse", "handlers", "finalbody", "cases"):
            yield from statements(getattr(node, field, ()))


def index_module(package: str, name: str, source: Path) -> Module | None:
    """Read one module; None if it is not Python 3, as some files of the test suites are not."""
    text = source.read_bytes()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the standard library's own code
            tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return None
    functions = classes = 0
    imports: set[str] = set()
    for node in statements(tree.body):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                functions += 1
            case ast.ClassDef():
                classes += 1
            case ast.Import():
                imports.update(alias.name for alias in node.names)
            case ast.ImportFrom():
                imports.add("." * node.level + (node.module or ""))
    return Module(name, package, text.count(b"\n"), functions, classes, tuple(sorted(imports)))


def totals(modules: Sequence[Module]) -> tuple[str | int, ...]:
    """Give the row at the end of a table, by which a reader can tell that the table is whole."""
    return (
        "TOTAL",
        len(modules),
        sum(module.lines for module in modules),
        sum(module.functions for module in modules),
        sum(module.classes for module in modules),
        sum(len(module.imports) for module in modules),
    )


def write_package(folder: Path, package: str, modules: Sequence[Module]) -> tuple[str, int, str]:
    """Write the file of one package; give its row for the folder's `INDEX.csv`."""
    target = folder / f"{package}.csv"
    with target.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(module.row() for module in modules)
        writer.writerow(totals(modules))
    return target.name, len(modules), hashlib.sha256(target.read_bytes()).hexdigest()


def progress(sources: Sequence[tuple[str, str, Path]]) -> Iterator[tuple[str, str, Path]]:
    """Pass the sources on and, on a terminal, show how far they are read."""
    if not sys.stderr.isatty():
        yield from sources
        return
    shown = 0.0
    for done, source in enumerate(sources):
        if time.monotonic() - shown > BETWEEN_UPDATES:
            shown = time.monotonic()
            print(f"\r{done:,} of {len(sources):,} modules ", end="", file=sys.stderr, flush=True)
        yield source
    print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def write_index(out: Path, sources: Sequence[tuple[str, str, Path]], *, overwrite: bool) -> list[Module]:
    """Publish the file and the folder, each when it is complete."""
    indexed = []
    with (
        atomik.file(out / "modules.csv", overwrite=overwrite, parents=True, encoding="utf-8", newline="") as file,
        atomik.folder(out / "by_package", overwrite=overwrite, parents=True) as folder,
    ):
        table = csv.writer(file)
        table.writerow(COLUMNS)
        packages = []
        for package, group in itertools.groupby(progress(sources), key=lambda source: source[0]):
            modules = [module for source in group if (module := index_module(*source))]
            table.writerows(module.row() for module in modules)
            packages.append(write_package(folder, package, modules))
            indexed += modules
        table.writerow(totals(indexed))
        with (folder / "INDEX.csv").open("w", newline="", encoding="utf-8") as index:
            csv.writer(index).writerows([("file", "modules", "sha256"), *packages])
    return indexed


def main() -> None:
    """Read the command line, write the index and say what is in it."""
    parser = argparse.ArgumentParser(description="Index the standard library of the Python that runs this.")
    parser.add_argument("out", type=Path, metavar="OUT", help="where modules.csv and by_package/ are published")
    parser.add_argument("--overwrite", action="store_true", help="replace the index that is there")
    parser.add_argument("--without-tests", action="store_true", help="leave out the library's own test suites")
    options = parser.parse_args()

    sources = find_modules(tests=not options.without_tests)
    print(f"reading {len(sources):,} modules of {sysconfig.get_path('stdlib')}", flush=True)
    try:
        modules = write_index(options.out, sources, overwrite=options.overwrite)
    except FileExistsError as error:
        parser.exit(1, f"{error}\n")
    _, count, lines, functions, classes, _ = totals(modules)
    print(f"published {count:,} modules: {lines:,} lines, {functions:,} functions, {classes:,} classes")


if __name__ == "__main__":
    main()
