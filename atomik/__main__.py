"""The command `atomik`, also as ``python -m atomik``."""

import gc
import sys


def main() -> int:
    """Run the command with the arguments of this process; return its exit status."""
    try:
        # What is imported stays to the end: looking through it for garbage would be a tenth of what a small job takes.
        gc.disable()
        # Here, not above: importing takes most of the time in which a person might press Ctrl-C before it is seen to.
        from ._command._main import run

        gc.freeze()
        gc.enable()
        return run()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
