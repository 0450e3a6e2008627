"""What the workflow's rules run: index a part of the standard library, and join the parts.

    python index.py part NUMBER PARTS OUT
    python index.py join TABLE FOLDER PART...

It writes its outputs as any program does, and knows nothing of Atomik.
"""

import argparse
import csv
import itertools
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

from stdlib_index import COLUMNS, Module, find_modules, index_module, totals, write_package


def write_table(out: Path, modules: Iterable[Module]) -> None:
    """Write a row for each module, and one at the end by which a reader can tell that the table is whole."""
    written = []
    with out.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for module in modules:
            table.writerow(module.row())
            written.append(module)
        table.writerow(totals(written))


def read_table(path: Path) -> Iterator[Module]:
    """Give the modules of a part."""
    with path.open(newline="", encoding="utf-8") as file:
        for name, package, lines, functions, classes, imports in list(csv.reader(file))[1:-1]:
            yield Module(name, package, int(lines), int(functions), int(classes), tuple(imports.split()))


def part(number: int, parts: int, out: Path) -> None:
    """Index one of so many parts of the library."""
    sources = find_modules(tests=True)
    chosen = sources[len(sources) * number // parts : len(sources) * (number + 1) // parts]
    write_table(out, (module for source in chosen if (module := index_module(*source))))


def join(table: Path, folder: Path, parts: Iterable[Path]) -> None:
    """Join the parts to one table, and to a folder with a file for each package."""
    modules = [module for path in parts for module in read_table(path)]
    write_table(table, modules)
    folder.mkdir()
    with (folder / "INDEX.csv").open("w", newline="", encoding="utf-8") as index:
        rows = csv.writer(index)
        rows.writerow(("file", "modules", "sha256"))
        for package, group in itertools.groupby(modules, key=lambda module: module.package):
            rows.writerow(write_package(folder, package, list(group)))


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Index a part of the standard library, or join the parts.")
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("part")
    one.add_argument("number", type=int)
    one.add_argument("parts", type=int)
    one.add_argument("out", type=Path)
    all_parts = commands.add_parser("join")
    all_parts.add_argument("table", type=Path)
    all_parts.add_argument("folder", type=Path)
    all_parts.add_argument("part", type=Path, nargs="+")
    options = parser.parse_args()
    if options.command == "part":
        part(options.number, options.parts, options.out)
    else:
        join(options.table, options.folder, options.part)


if __name__ == "__main__":
    main()
