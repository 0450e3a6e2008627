"""`atomik_core.testing.plugins`: a plugin is tried without being installed."""

from __future__ import annotations

import logging
import sys
import types

import pluggy
import pytest

import atomik
from atomik_core import testing


class Recorder:
    """A plugin that remembers what it was told, and may veto."""

    def __init__(self, veto=None):
        self.told = []
        self.veto = veto

    @atomik.hookimpl
    def atomik_before_publish(self, publication):
        """Remember it, or raise."""
        self.told.append(("before", publication.destination.name))
        if self.veto is not None:
            raise self.veto

    @atomik.hookimpl
    def atomik_after_publish(self, publication):
        """Remember it."""
        self.told.append(("after", publication.destination.name))

    @atomik.hookimpl
    def atomik_discarded(self, publication, error):
        """Remember it."""
        self.told.append(("discarded", publication.destination.name, error))


def publish(path):
    """Publish a file."""
    with atomik.file(path) as f:
        f.write("new")


def test_a_plugin_is_called_within_the_block_and_not_after_it(tmp_path):
    """An object is enough."""
    plugin = Recorder()

    with testing.plugins(plugin):
        publish(tmp_path / "a")
        assert [(p.name, p.status, p.distribution) for p in atomik.plugins()] == [
            ("Recorder 1", "active", "(not installed)")
        ]
    publish(tmp_path / "b")

    assert plugin.told == [("before", "a"), ("after", "a")]
    assert "Recorder 1" not in [p.name for p in atomik.plugins()]


def test_a_veto_is_a_veto(tmp_path):
    """As that of an installed plugin."""
    error = RuntimeError("no")
    plugin = Recorder(veto=error)

    with testing.plugins(plugin), pytest.raises(RuntimeError, match="no"):
        publish(tmp_path / "a")

    assert plugin.told == [("before", "a"), ("discarded", "a", error)]
    assert not (tmp_path / "a").exists()


def test_a_module_is_a_plugin_and_several_are(tmp_path):
    """The later ones are called first, as pluggy does."""
    told = []
    modules = []
    for name in ("one", "two"):
        module = types.ModuleType(name)
        module.atomik_after_publish = atomik.hookimpl(lambda publication, name=name: told.append(name))
        modules.append(module)

    with testing.plugins(*modules):
        publish(tmp_path / "a")

    assert told == ["two", "one"]


def test_blocks_may_be_nested_and_none_is_called_in_an_empty_one(tmp_path):
    """Each holds until it ends, however it ends."""
    outer, inner = Recorder(), Recorder()

    with testing.plugins(outer):
        with pytest.raises(ZeroDivisionError), testing.plugins(inner):
            publish(tmp_path / "a")
            raise ZeroDivisionError
        with testing.plugins():
            publish(tmp_path / "b")
        publish(tmp_path / "c")

    assert inner.told == [("before", "a"), ("after", "a")]
    assert outer.told == [("before", "c"), ("after", "c")]


def test_a_plugin_that_would_never_be_called_is_an_error_at_once():
    """A slip in a name must not pass for a plugin that has nothing to say."""

    class Wrong:
        @atomik.hookimpl
        def atomik_befor_publish(self, publication): ...

    with (
        pytest.raises(pluggy.PluginValidationError, match="there is no hook 'atomik_befor_publish'"),
        testing.plugins(Wrong()),
    ):
        pytest.fail("the block has begun")
    with pytest.raises(pluggy.PluginValidationError, match="it implements no hook"), testing.plugins(object()):
        pytest.fail("the block has begun")


@pytest.mark.parametrize("strict", [False, True])
def test_a_shadowed_plugin_is_told_of(tmp_path, monkeypatch, caplog, strict):
    """Left out in silence, a veto would be lost; who is strict is not let go on."""
    for distribution in ("aa", "bb"):
        info = tmp_path / f"{distribution}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: {distribution}\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[atomik]\npolicy = mod_{distribution}\n")
        (tmp_path / f"mod_{distribution}.py").write_text(
            "import atomik\n@atomik.hookimpl\ndef atomik_before_publish(publication): ...\n"
        )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr("atomik_core._plugins.hooks._registry", None)
    monkeypatch.setattr("atomik_core._plugins.hooks._hooks", None)
    monkeypatch.setenv("ATOMIK_STRICT_PLUGINS", "1" if strict else "0")
    said = "the plugin 'policy' of bb 1 is shadowed and not used: the plugin 'policy' of aa 1 comes earlier on sys.path"

    if strict:
        with pytest.raises(ImportError, match="disable one of the two distributions") as failure:
            publish(tmp_path / "a")
        assert str(failure.value).startswith(said)
        assert not (tmp_path / "a").exists()
    else:
        with caplog.at_level(logging.ERROR, logger="atomik"):
            publish(tmp_path / "a")
            publish(tmp_path / "b")
        assert [message.startswith(said) for message in caplog.messages] == [True]
