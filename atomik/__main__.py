"""The command `atomik`, also as ``python -m atomik``."""

import gc
import sys


def main() -> int:
    """Run the command with the arguments of this process; return its exit status."""
    # Looking for garbage among what is imported, which stays to the end, would be a tenth of what a small job takes.
    gc.set_threshold(100_000)
    try:
        # Here, not above: importing takes most of the time in which a person might press Ctrl-C before it is seen to.
        from ._command._main import run

        gc.freeze()
        return run()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
