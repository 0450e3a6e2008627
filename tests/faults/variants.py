"""The core, broken on purpose: Python source that is run before a workload and takes away one of its precautions."""

#: No content and no name is ever synced.
NO_SYNC = """
import os
import atomik_core._os.calls
assert atomik_core._os.calls.syncfs
os.fsync = atomik_core._os.calls.syncfs = lambda descriptor: None
"""

#: The content is synced, and the directory that names it is not.
NO_DIRECTORY_SYNC = """
import os, stat
def sync(descriptor, fsync=os.fsync):
    if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
        fsync(descriptor)
os.fsync = sync
"""

#: The content is synced when it is visible already.
PUBLISHED_BEFORE_SYNC = """
import os
import atomik_core._os.calls, atomik_core.testing
assert atomik_core._os.calls.syncfs
fsync, late = os.fsync, []
def step(publication, name):
    if name == "published":
        os.fsync = fsync
        while late: fsync(late.pop())
    else:
        os.fsync = atomik_core._os.calls.syncfs = lambda descriptor: late.append(os.dup(descriptor))
atomik_core.testing.watchers.append(step)
"""

#: An error of a sync is swallowed.
DEAF_SYNC = """
import os
def sync(descriptor, fsync=os.fsync):
    try: fsync(descriptor)
    except OSError: pass
os.fsync = sync
"""

#: What has been locked is not compared with the name by which it was found.
NO_COMPARISON = """
import atomik_core._os.locks
assert atomik_core._os.locks.is_named
atomik_core._os.locks.is_named = lambda *arguments: True
"""

#: A new name may replace what stands there.
NO_NOREPLACE = """
import os
import atomik_core._os.calls
def rename(source_dir, source, target_dir, target, flags, renameat2=atomik_core._os.calls.renameat2):
    renameat2(source_dir, source, target_dir, target, flags & ~atomik_core._os.calls.RENAME_NOREPLACE)
atomik_core._os.calls.renameat2 = rename
"""

#: Three renames instead of an exchange.
NO_EXCHANGE = """
import os
import atomik_core._os.calls
def rename(a_dir, a, b_dir, b, flags, renameat2=atomik_core._os.calls.renameat2):
    if flags != atomik_core._os.calls.RENAME_EXCHANGE:
        return renameat2(a_dir, a, b_dir, b, flags)
    renameat2(b_dir, b, b_dir, b + ".old", 0)
    renameat2(a_dir, a, b_dir, b, 0)
    renameat2(b_dir, b + ".old", a_dir, a, 0)
atomik_core._os.calls.renameat2 = rename
"""

#: A file is staged under a name.
NAMED_STAGING = """
import os
def open(path, flags, *arguments, open=os.open, **options):
    if flags & os.O_TMPFILE == os.O_TMPFILE:
        raise OSError(95, "Operation not supported")
    return open(path, flags, *arguments, **options)
os.open = open
"""

#: A descriptor is opened, and then remembered.
FORGETFUL_OPEN = """
import os
from atomik_core._os.descriptors import Descriptors
assert Descriptors.open
def open(self, path, flags, mode=0o777, *, dir_fd=None):
    descriptor = os.open(path, flags, mode, dir_fd=dir_fd)
    self._fds.append(descriptor)
    return descriptor
Descriptors.open = open
"""
