"""Atomik's library: primitives, publishing and plugin hooks. The distribution's face is the package `atomik`."""

# Not typing's: importing that costs more than everything else here. Type checkers know the name.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from . import errors as errors
    from ._copy import copy as copy
    from ._file import file as file
    from ._folder import folder as folder
    from ._group import Group as Group
    from ._group import group as group
    from ._leftovers import Leftover as Leftover
    from ._leftovers import clean as clean
    from ._leftovers import leftovers as leftovers
    from ._mode import Mode as Mode
    from ._os.levels import Sync as Sync
    from ._path import path as path
    from ._plugins.described import Integration as Integration
    from ._plugins.described import Plugin as Plugin
    from ._plugins.hooks import plugins as plugins
    from ._primitives import exchange as exchange
    from ._primitives import remove as remove
    from ._primitives import rename as rename
    from ._probe import Capabilities as Capabilities
    from ._probe import probe as probe
    from ._publish.publication import Publication as Publication
    from ._snapshot import snapshot as snapshot
    from ._stage import Stage as Stage
    from ._stage import StageReport as StageReport
    from ._stage import stage as stage
    from ._symlink import symlink as symlink
    from ._version import __version__ as __version__
    from .errors import AtomikError as AtomikError
    from .errors import DirectWriteError as DirectWriteError
    from .errors import ExtrasError as ExtrasError
    from .errors import FileAlreadyExistsError as FileAlreadyExistsError
    from .errors import InvalidCrossDeviceError as InvalidCrossDeviceError
    from .errors import LeftoverError as LeftoverError
    from .errors import NotDurableError as NotDurableError
    from .errors import NothingStagedError as NothingStagedError
    from .errors import UnsupportedFilesystemError as UnsupportedFilesystemError
    from .hookspecs import hookimpl as hookimpl
else:
    #: The module that each public name comes from; it is imported when the name is first used.
    _HOMES = {
        "AtomikError": "errors",
        "Capabilities": "_probe",
        "DirectWriteError": "errors",
        "ExtrasError": "errors",
        "FileAlreadyExistsError": "errors",
        "Group": "_group",
        "Integration": "_plugins.described",
        "InvalidCrossDeviceError": "errors",
        "Leftover": "_leftovers",
        "LeftoverError": "errors",
        "Mode": "_mode",
        "NotDurableError": "errors",
        "NothingStagedError": "errors",
        "Plugin": "_plugins.described",
        "Publication": "_publish.publication",
        "Stage": "_stage",
        "StageReport": "_stage",
        "Sync": "_os.levels",
        "UnsupportedFilesystemError": "errors",
        "__version__": "_version",
        "clean": "_leftovers",
        "copy": "_copy",
        "exchange": "_primitives",
        "file": "_file",
        "folder": "_folder",
        "group": "_group",
        "hookimpl": "hookspecs",
        "leftovers": "_leftovers",
        "path": "_path",
        "plugins": "_plugins.hooks",
        "probe": "_probe",
        "remove": "_primitives",
        "rename": "_primitives",
        "snapshot": "_snapshot",
        "stage": "_stage",
        "symlink": "_symlink",
    }
    __all__ = sorted(_HOMES)

    def __getattr__(name):
        home = _HOMES.get(name)
        if home is None:
            if name in {"errors", "hookspecs", "testing"}:
                return __import__(f"{__name__}.{name}", fromlist=[name])
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        value = globals()[name] = getattr(__import__(f"{__name__}.{home}", fromlist=[name]), name)
        return value

    def __dir__():
        return [*__all__, "errors", "hookspecs", "testing"]
