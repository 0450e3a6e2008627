"""Luigi forks a process for each task: what a process's first publication costs is paid before, once for all of them.

That is importing what publishes, and looking for plugins: some ten milliseconds, as much as Luigi itself takes for a task.
"""

from __future__ import annotations

from functools import cache

import atomik


@cache
def warm_up() -> None:
    """Load what the first publication of a forked process would load; to be called before a fork."""
    for name in ("file", "folder", "path", "stage", "copy", "clean"):
        getattr(atomik, name)  # imported when it is first looked at
    atomik.plugins()
