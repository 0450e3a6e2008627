"""Index the standard library as a pipeline of Luigi tasks, whose outputs are there whole or not at all.

    python luigi_stdlib.py OUT [--without-tests]

makes `OUT/modules.csv` (a file), `OUT/by_package/` (a folder) and, both at once, `OUT/largest.csv` and `OUT/imported.csv`.
Kill it at any moment and run it again: what is there is complete and is kept, what is missing is made.
"""

import argparse
import collections
import csv
import itertools
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stdlib_index import COLUMNS, Module, find_modules, index_module, progress, totals, write_package

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Luigi's, about itself
    import luigi

from luigi_atomik import AtomicLocalFolderTarget, AtomicLocalTarget, AtomicOutputs

MOST = 100


class Indexing(luigi.Task):
    """What the tasks have in common: where their outputs are, and how the table is read."""

    out = luigi.Parameter()
    tests = luigi.BoolParameter(default=True)

    def at(self, name: str) -> Path:
        """Where the output of this name is."""
        return Path(str(self.out), name)

    def modules(self) -> Iterator[Module]:
        """Read the table of modules, which is complete if it is there."""
        with self.input().open() as file:
            _, *rows, _ = csv.reader(file)
        for name, package, lines, functions, classes, imports in rows:
            yield Module(name, package, int(lines), int(functions), int(classes), tuple(imports.split()))


class Modules(Indexing):
    """A file: the table of all modules."""

    def output(self) -> AtomicLocalTarget:
        """The file, in a format of Luigi's."""
        return AtomicLocalTarget(self.at("modules.csv"), luigi.format.TextFormat(encoding="utf-8", newline=""))

    def run(self) -> None:
        """Write a row for each module."""
        with self.output().open("w") as file:
            table = csv.writer(file)
            table.writerow(COLUMNS)
            indexed = []
            for source in progress(find_modules(tests=bool(self.tests))):
                if module := index_module(*source):
                    table.writerow(module.row())
                    indexed.append(module)
            table.writerow(totals(indexed))


class ByPackage(Indexing):
    """A folder: a table for each package, and an index of them."""

    def requires(self) -> luigi.Task:
        """The table of all modules."""
        return Modules(self.out, self.tests)

    def output(self) -> AtomicLocalFolderTarget:
        """The folder."""
        return AtomicLocalFolderTarget(self.at("by_package"))

    def run(self) -> None:
        """Write file after file."""
        with self.output().folder() as folder:
            packages = [
                write_package(folder, package, list(modules))
                for package, modules in itertools.groupby(self.modules(), key=lambda module: module.package)
            ]
            with (folder / "INDEX.csv").open("w", newline="", encoding="utf-8") as index:
                csv.writer(index).writerows([("file", "modules", "sha256"), *packages])


class Rankings(AtomicOutputs, Indexing):
    """Two files at once: the largest modules, and the most imported ones."""

    def requires(self) -> luigi.Task:
        """The table of all modules."""
        return Modules(self.out, self.tests)

    def output(self) -> dict[str, AtomicLocalTarget]:
        """Both files; inside `run()`, where they are staged."""
        return {name: AtomicLocalTarget(self.at(f"{name}.csv")) for name in ("largest", "imported")}

    def run(self) -> None:
        """Write one after the other; neither is there before both are complete."""
        modules = list(self.modules())
        largest = sorted(modules, key=lambda module: module.lines, reverse=True)
        imported = collections.Counter(name for module in modules for name in module.imports)
        self.write("largest", [(module.name, module.lines) for module in largest[:MOST]])
        self.write("imported", imported.most_common(MOST))

    def write(self, name: str, rows: list[Any]) -> None:
        """Write one of the two."""
        with self.output()[name].open("w") as file:
            csv.writer(file).writerows([("module", name), *rows])


def main() -> None:
    """Read the command line and let Luigi do what is missing."""
    parser = argparse.ArgumentParser(description="Index the standard library of the Python that runs this.")
    parser.add_argument("out", metavar="OUT", help="where the outputs are published")
    parser.add_argument("--without-tests", action="store_true", help="leave out the library's own test suites")
    options = parser.parse_args()

    tests = not options.without_tests
    tasks = [ByPackage(options.out, tests), Rankings(options.out, tests)]
    print("running what is missing", flush=True)
    result = luigi.build(tasks, local_scheduler=True, detailed_summary=True, log_level="WARNING")
    print(result.one_line_summary)
    sys.exit(not result.scheduling_succeeded)


if __name__ == "__main__":
    main()
