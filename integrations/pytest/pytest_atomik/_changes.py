"""Who has changed what all tests share: found out where the kernel does not stop them."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from ._builds import Build
from ._read_only import changes, is_writable, state_of
from ._run import Run
from ._write_guard import guard, lift


class Changes:
    """Watches the builds that this process could change, read-only or not. A plugin, for as long as the fixture is there."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._states: dict[Build, dict[str, tuple[int, ...]]] = {}

    def watch(self, build: Build) -> None:
        """Protect `build` in this process, and remember what is in it, unless the kernel protects it."""
        if is_writable(build.content):
            self._states[build] = state_of(build.folder)
            guard([build.folder])

    def close(self) -> None:
        """Watch nothing any more; fail if anything has changed since the last test."""
        found = self._find()
        lift(build.folder for build in self._states)
        if found:
            pytest.fail(found, pytrace=False)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Fail a test that has changed something."""
        __tracebackhide__ = True
        if "atomic_tmp_factory" not in getattr(item, "fixturenames", ()):
            return (yield)
        try:
            result = yield
        except BaseException as error:
            if found := self._find():
                error.add_note(found)
            raise
        if found := self._find():
            pytest.fail(found, pytrace=False)
        return result

    def _find(self) -> str:
        """Say what was changed since this was asked last, and have it built again for who asks from now on."""
        found = []
        for build, before in self._states.items():
            after = state_of(build.folder)
            if after != before:
                self._states[build] = after
                build.make_obsolete()
                self._run.note("changed", name=build.name, folder=str(build.folder))
                found += [f"{build.name!r} is shared by all tests, and was changed:", *changes(before, after)]
        if found:
            found.append(
                "by this test or by one that ran meanwhile in another worker; atomic_tmp_factory.copy() gives a copy"
            )
        return "\n  ".join(found)
