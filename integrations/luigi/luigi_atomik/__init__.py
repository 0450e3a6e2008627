"""Luigi targets that are either complete or not there.

    from luigi_atomik import AtomicLocalTarget

    class Report(luigi.Task):
        def output(self):
            return AtomicLocalTarget("report.csv")

Importing this package imports neither luigi nor atomik: that happens when one of its names is first used.
"""

# Not typing's: importing that costs more than everything else here. Type checkers know the name.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from ._errors import CopyDestinationExists as CopyDestinationExists
    from ._errors import NotAFolder as NotAFolder
    from ._errors import ParentMissing as ParentMissing
    from ._errors import TargetExists as TargetExists
    from ._filesystem import AtomicLocalFileSystem as AtomicLocalFileSystem
    from ._outputs import AtomicOutputs as AtomicOutputs
    from ._target import AtomicLocalFolderTarget as AtomicLocalFolderTarget
    from ._target import AtomicLocalTarget as AtomicLocalTarget
    from ._target import install as install
else:
    #: The module that each public name comes from; it is imported when the name is first used.
    _HOMES = {
        "AtomicLocalFileSystem": "_filesystem",
        "AtomicLocalFolderTarget": "_target",
        "AtomicLocalTarget": "_target",
        "AtomicOutputs": "_outputs",
        "CopyDestinationExists": "_errors",
        "NotAFolder": "_errors",
        "ParentMissing": "_errors",
        "TargetExists": "_errors",
        "install": "_target",
    }
    __all__ = [
        "AtomicLocalFileSystem",
        "AtomicLocalFolderTarget",
        "AtomicLocalTarget",
        "AtomicOutputs",
        "CopyDestinationExists",
        "NotAFolder",
        "ParentMissing",
        "TargetExists",
        "install",
    ]

    def __getattr__(name: str) -> object:
        home = _HOMES.get(name)
        if home is None:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        try:
            value = getattr(__import__(f"{__name__}.{home}", fromlist=[name]), name)
        except AttributeError as error:
            # An AttributeError from here would mean that there is no such name, and would be swallowed.
            import os

            msg = f"luigi_atomik.{name} cannot be imported: {error}"
            if not hasattr(os, "register_at_fork"):
                msg = "luigi_atomik needs a system with fork(), such as Linux: Luigi's workers, and what it stages, rely on it"
            raise ImportError(msg) from error
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return __all__
