"""The command `atomik`, also as ``python -m atomik``."""

import sys


def main() -> int:
    """Run the command with the arguments of this process; return its exit status."""
    try:
        # Here, not above: importing takes most of the time in which a person might press Ctrl-C before it is seen to.
        from ._command._main import run

        return run()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
