"""`python -m luigi_atomik ...` is `luigi ...`, with every luigi.LocalTarget atomic: no line of code is changed for it."""

from luigi.cmdline import luigi_run

from . import install

if __name__ == "__main__":
    install()
    luigi_run()
