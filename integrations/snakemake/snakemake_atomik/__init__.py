"""Snakemake outputs that are there whole or not at all.

    from snakemake_atomik import atomic

    rule sort:
        output: atomic("results/a.bam"), atomic(directory("results/parts"))
        shell: "samtools sort {input} -o {output[0]} ..."

The names are imported when they are first used: Atomik looks for integrations without importing Snakemake.
"""

# Not typing's: importing that costs more than everything else here. Type checkers know the name.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from ._atomic import atomic as atomic
    from ._configure import configure as configure
    from ._outputs import outputs as outputs
else:
    #: The module that each public name comes from.
    _HOMES = {"atomic": "_atomic", "configure": "_configure", "outputs": "_outputs"}
    __all__ = ["atomic", "configure", "outputs"]

    def __getattr__(name: str) -> object:
        home = _HOMES.get(name)
        if home is None:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        value = globals()[name] = getattr(__import__(f"{__name__}.{home}", fromlist=[name]), name)
        return value

    def __dir__() -> list[str]:
        return __all__
