"""`atomic_tmp` and `atomic_tmp_factory` for pytest. Their types are here, for annotations."""

# Not typing's: pytest imports this package at its start, used or not. Type checkers know the name.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from ._atomic_tmp import AtomicTmp as AtomicTmp
    from ._crash._crash import Crash as Crash
    from ._factory import AtomicTmpFactory as AtomicTmpFactory
else:
    _HOMES = {"AtomicTmp": "_atomic_tmp", "AtomicTmpFactory": "_factory", "Crash": "_crash._crash"}
    __all__ = ["AtomicTmp", "AtomicTmpFactory", "Crash"]

    def __getattr__(name: str) -> object:
        home = _HOMES.get(name)
        if home is None:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        value = globals()[name] = getattr(__import__(f"{__name__}.{home}", fromlist=[name]), name)
        return value

    def __dir__() -> list[str]:
        return __all__
