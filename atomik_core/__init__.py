"""Atomik's library: primitives, publishing and plugin hooks. The distribution's face is the package `atomik`."""

# Not typing's: importing that costs more than everything else here. Type checkers know the name.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from . import errors as errors
    from ._copy import copy as copy
    from ._file import Mode as Mode
    from ._file import file as file
    from ._folder import folder as folder
    from ._group import Group as Group
    from ._group import group as group
    from ._leftovers import Leftover as Leftover
    from ._leftovers import clean as clean
    from ._leftovers import leftovers as leftovers
    from ._path import path as path
    from ._plugins import plugins as plugins
    from ._primitives import exchange as exchange
    from ._primitives import remove as remove
    from ._primitives import rename as rename
    from ._probe import Capabilities as Capabilities
    from ._probe import probe as probe
    from ._publication import Publication as Publication
    from ._registry import Plugin as Plugin
    from ._snapshot import snapshot as snapshot
    from ._sync import Sync as Sync
    from ._version import __version__ as __version__
    from .errors import AtomikError as AtomikError
    from .errors import FileAlreadyExistsError as FileAlreadyExistsError
    from .errors import InvalidCrossDeviceError as InvalidCrossDeviceError
    from .errors import NotDurableError as NotDurableError
    from .errors import NothingStagedError as NothingStagedError
    from .errors import UnsupportedFilesystemError as UnsupportedFilesystemError
    from .hookspecs import Integration as Integration
    from .hookspecs import hookimpl as hookimpl
else:
    #: The module that each public name comes from; it is imported when the name is first used.
    _HOMES = {
        "AtomikError": "errors",
        "Capabilities": "_probe",
        "FileAlreadyExistsError": "errors",
        "Group": "_group",
        "Integration": "hookspecs",
        "InvalidCrossDeviceError": "errors",
        "Leftover": "_leftovers",
        "Mode": "_file",
        "NotDurableError": "errors",
        "NothingStagedError": "errors",
        "Plugin": "_registry",
        "Publication": "_publication",
        "Sync": "_sync",
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
        "plugins": "_plugins",
        "probe": "_probe",
        "remove": "_primitives",
        "rename": "_primitives",
        "snapshot": "_snapshot",
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
