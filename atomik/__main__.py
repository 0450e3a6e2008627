"""The command `atomik`, also as ``python -m atomik``."""

import gc
import sys


def main() -> int:
    """Run the command with the arguments of this process; return its exit status."""
    # What is imported stays to the end. Looking through it for garbage, now and at exit, would take a tenth of a small job.
    gc.set_threshold(100_000)
    try:
        # Here, not above: importing takes most of the time in which a person might press Ctrl-C before it is seen to.
        from ._command._main import run

        return run()
    except KeyboardInterrupt:
        return 130
    finally:
        gc.freeze()


if __name__ == "__main__":
    sys.exit(main())
