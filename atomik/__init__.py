"""Atomik: publish files and folders all at once or not at all.

::

    with atomik.file("result.json") as f:
        json.dump(result, f)

    with atomik.folder("results") as d:
        (d / "part.csv").write_text(part)

At the end of the block the whole result is at its destination, or nothing is.
"""

# Not typing's: importing that costs more than everything else here. Type checkers know the name.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from atomik_core import AtomikError as AtomikError
    from atomik_core import Capabilities as Capabilities
    from atomik_core import DirectWriteError as DirectWriteError
    from atomik_core import ExtrasError as ExtrasError
    from atomik_core import FileAlreadyExistsError as FileAlreadyExistsError
    from atomik_core import Group as Group
    from atomik_core import Integration as Integration
    from atomik_core import InvalidCrossDeviceError as InvalidCrossDeviceError
    from atomik_core import Leftover as Leftover
    from atomik_core import LeftoverError as LeftoverError
    from atomik_core import Mode as Mode
    from atomik_core import NotDurableError as NotDurableError
    from atomik_core import NothingStagedError as NothingStagedError
    from atomik_core import Plugin as Plugin
    from atomik_core import Publication as Publication
    from atomik_core import Stage as Stage
    from atomik_core import StageReport as StageReport
    from atomik_core import Sync as Sync
    from atomik_core import UnsupportedFilesystemError as UnsupportedFilesystemError
    from atomik_core import __version__ as __version__
    from atomik_core import clean as clean
    from atomik_core import copy as copy
    from atomik_core import exchange as exchange
    from atomik_core import file as file
    from atomik_core import folder as folder
    from atomik_core import group as group
    from atomik_core import hookimpl as hookimpl
    from atomik_core import leftovers as leftovers
    from atomik_core import path as path
    from atomik_core import plugins as plugins
    from atomik_core import probe as probe
    from atomik_core import remove as remove
    from atomik_core import rename as rename
    from atomik_core import snapshot as snapshot
    from atomik_core import stage as stage
    from atomik_core import symlink as symlink

    from . import errors as errors
else:
    __all__ = [
        "AtomikError",
        "Capabilities",
        "DirectWriteError",
        "ExtrasError",
        "FileAlreadyExistsError",
        "Group",
        "Integration",
        "InvalidCrossDeviceError",
        "Leftover",
        "LeftoverError",
        "Mode",
        "NotDurableError",
        "NothingStagedError",
        "Plugin",
        "Publication",
        "Stage",
        "StageReport",
        "Sync",
        "UnsupportedFilesystemError",
        "__version__",
        "clean",
        "copy",
        "exchange",
        "file",
        "folder",
        "group",
        "hookimpl",
        "leftovers",
        "path",
        "plugins",
        "probe",
        "remove",
        "rename",
        "snapshot",
        "stage",
        "symlink",
    ]

    def __getattr__(name):
        if name == "errors":
            return __import__(f"{__name__}.errors", fromlist=[name])
        if name not in __all__:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        import atomik_core

        value = globals()[name] = getattr(atomik_core, name)
        return value

    def __dir__():
        return [*__all__, "errors"]
