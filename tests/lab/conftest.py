"""The laboratory: tests that run in a guest of their own, with kernels, servers and clients that this machine has not.

They are written as any other, and each is collected and reported here. What runs them is a QEMU guest: one for each
kernel, booted when its first test is due. There the same file is collected again, and its tests are run.

A test that asks for `kernel` runs on every one of `KERNELS` that is for x86-64 (or on those that `@pytest.mark.kernels`
names), one that asks for `user` as root and as an ordinary user (or as whom `@pytest.mark.users` names), one that asks for
`place` in each of the places that `@pytest.mark.places` names.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from lab.guest.places import Place, fresh
from lab.image import AMD64, KERNELS
from support.needs import need_root, need_tool

_IN_GUEST: Final = os.environ.get("ATOMIK_IN_LAB") == "1"

#: How long a guest may say nothing: it is emulated, and the machine may have other things to do.
_PATIENCE: Final = 240.0

_USERS: Final = ("root", "user")


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers of the laboratory."""
    for line in (
        "kernels(*names): on these kernels only",
        "users(*names): as these users only",
        "places(*kinds): in each of these places",
        "needs_hosts: needs Luigi or Snakemake",
        "survival: records what it saw, for a row of the table of what survives what (see survival.py)",
        "quick: run with every change, as an ordinary user on Linux 6.1: all of `-m quick` takes a few minutes",
    ):
        config.addinivalue_line("markers", line)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test each kernel, user and place that it is for."""
    usual = tuple(name for name, (architecture, _) in KERNELS.items() if architecture == AMD64)
    choices = (("kernel", "kernels", usual), ("user", "users", _USERS), ("place", "places", ()))
    for name, marker, default in choices:
        if name in metafunc.fixturenames:
            found = metafunc.definition.get_closest_marker(marker)
            chosen = found.args if found is not None else default
            metafunc.parametrize(name, chosen, ids=str, indirect=True, scope="function")


@pytest.fixture
def kernel(request: pytest.FixtureRequest) -> str:
    """The kernel that this runs on, as tests name it."""
    return str(request.param)


@pytest.fixture
def user(request: pytest.FixtureRequest) -> str:
    """Who runs this: "root" or "user"."""
    return str(request.param)


@pytest.fixture
def place(request: pytest.FixtureRequest, user: str) -> Iterator[Place]:
    """A fresh folder in a place of the kind that is asked for, which the user of this test may write to."""
    with fresh(request.param, user) as made:
        yield made


if not _IN_GUEST:

    class _Failed(Exception):  # noqa: N818 - it is no error of this process
        """What went wrong in the guest, as it was said there."""

    class _Remote(pytest.Item):
        """A test that a guest runs."""

        def __init__(self, *, original: pytest.Function, **more: Any) -> None:
            super().__init__(**more)
            self.own_markers = [*original.own_markers, pytest.mark.timeout(0).mark]
            self.keywords.update({mark.name: mark for mark in self.own_markers})
            self.original = original

        def runtest(self) -> None:
            need_root()
            architecture, _ = KERNELS[self.parameters["kernel"]]
            need_tool(f"qemu-system-{architecture.qemu}", "mmdebstrap")
            report = self.config.stash[_LABORATORY].report_of(self)
            if report["outcome"] == "skipped":
                pytest.skip(report["text"])
            if report["outcome"] == "failed":
                raise _Failed(report["text"])
            self.user_properties += [(name, value) for name, value in report["properties"]]

        def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
            if isinstance(excinfo.value, _Failed):
                return str(excinfo.value)
            return super().repr_failure(excinfo, style)

        def reportinfo(self) -> tuple[os.PathLike[str] | str, int | None, str]:
            return self.original.reportinfo()

        @property
        def parameters(self) -> Mapping[str, Any]:
            return self.original.callspec.params

    class _Laboratory:
        """The guests of a session: one is on at a time, and runs all tests that are left for its kernel."""

        def __init__(self, folder: Path) -> None:
            self._folder = folder
            self._open = ExitStack()
            self._guest: Any = None
            self._reports: dict[str, Mapping[str, Any]] = {}
            self._there: set[str] = set()
            #: By kernel, what a guest said that came to no test: no other one of it is booted.
            self._broken: dict[str, str] = {}
            self._tested = False
            self.items: list[_Remote] = []

        def report_of(self, item: _Remote) -> Mapping[str, Any]:
            """Wait for the report of ITEM; boot a guest for it, and for all that are to follow it, if none runs it."""
            kernel = item.parameters["kernel"]
            if kernel in self._broken:
                return {"outcome": "failed", "text": self._broken[kernel]}
            if item.nodeid not in self._there:
                self._boot(item)
            while item.nodeid not in self._reports:
                report = self._guest.report(_PATIENCE)
                if report is None:
                    self._there.clear()  # the next test gets a guest of its own
                    text = f"the guest ended, or hangs; its console:\n{self._guest.console()}"
                    if not self._tested:
                        self._broken[kernel] = text
                    return {"outcome": "failed", "text": text}
                if report.get("outcome"):
                    self._tested = True
                    self._reports[report["node"]] = report
            return self._reports[item.nodeid]

        def _boot(self, first: _Remote) -> None:
            from lab.image import Image
            from lab.machine import Guest

            self.close()
            self._tested = False
            following = self.items[self.items.index(first) :]
            items = [each for each in following if each.parameters["kernel"] == first.parameters["kernel"]]
            runs = [
                {
                    "user": user,
                    "nodes": [each.nodeid for each in mine],
                    "places": sorted({each.parameters["place"] for each in mine if "place" in each.parameters}),
                }
                for user in _USERS
                if (mine := [each for each in items if each.parameters["user"] == user])
            ]
            environment = {name: value for name, value in os.environ.items() if name == "ATOMIK_NO_SKIP"}
            kernel = first.parameters["kernel"]
            image = Image(self._folder, KERNELS[kernel][0])
            self._guest = self._open.enter_context(
                Guest(
                    image,
                    image.kernel(kernel),
                    {"runs": runs, "environment": environment},
                    hosts=any(each.get_closest_marker("needs_hosts") for each in items),
                )
            )
            self._there = {each.nodeid for each in items}

        def close(self) -> None:
            self._open.close()

    _LABORATORY = pytest.StashKey[_Laboratory]()

    def pytest_itemcollected(item: pytest.Item) -> None:
        """Have a quick test be quick on one kernel, as one user, on one NFS."""
        if not isinstance(item, pytest.Function) or item.get_closest_marker("quick") is None:
            return
        asked = item.callspec.params
        if (asked["kernel"], asked["user"]) != ("6.1", "user") or asked["place"] == "nfs3":
            item.own_markers[:] = [mark for mark in item.own_markers if mark.name != "quick"]

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
        """Put in the place of each test here one that a guest runs; sort them, so that each kernel is booted once."""
        here = Path(__file__).parent
        mine = [item for item in items if isinstance(item, pytest.Function) and here in item.path.parents]
        remote = [_Remote.from_parent(item.parent, name=item.name, original=item) for item in mine]
        remote.sort(
            key=lambda item: ([*KERNELS].index(item.parameters["kernel"]), _USERS.index(item.parameters["user"]))
        )
        items[:] = [item for item in items if item not in mine] + remote
        # tox keeps what is in its work directory; without tox, the cache of pytest is the place for it.
        folder = os.environ.get("ATOMIK_LAB_IMAGE") or config.cache.mkdir("atomik-lab")  # type: ignore[union-attr]
        config.stash[_LABORATORY] = _Laboratory(Path(folder))
        config.stash[_LABORATORY].items = remote

    def pytest_sessionfinish(session: pytest.Session) -> None:
        """Switch off the last guest."""
        laboratory = session.config.stash.get(_LABORATORY, None)
        if laboratory is not None:
            laboratory.close()
