"""What becomes of each installed plugin: used, disabled, shadowed, or broken and told so."""

from __future__ import annotations

import itertools
import sys

import pytest

from atomik_core._plugins.registry import Registry

_numbers = itertools.count(1)

HOOK = "import atomik\n@atomik.hookimpl\n"
BEFORE = f"{HOOK}def atomik_before_publish(publication): ...\n"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install a plugin, with its own distribution, as the only ones that there are; return its module's name."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr("atomik_core._plugins.registry.declared", lambda: _only_in(tmp_path))
    monkeypatch.delenv("ATOMIK_DISABLE_PLUGINS", raising=False)
    made = []

    def install(name, source, *, distribution=None, value="{module}"):
        module = f"plugin_{next(_numbers)}"
        made.append(module)
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{distribution or name}-1.0.dist-info"
        info.mkdir()
        (info / "entry_points.txt").write_text(f"[atomik]\n{name} = {value.format(module=module)}\n")
        return module

    yield install
    for module in made:
        sys.modules.pop(module, None)


def _only_in(folder):
    from atomik_core._plugins import discovery

    everywhere = sys.path[:]
    sys.path[:] = [str(folder)]
    try:
        return discovery.declared()
    finally:
        sys.path[:] = everywhere


def plugins():
    """What is known of each, examined afresh."""
    return [entry.described() for entry in Registry().entries]


def the_plugin():
    """What is known of the only one."""
    (plugin,) = plugins()
    return plugin


def test_a_plugin_is_active_with_the_hooks_that_it_implements(installed):
    """Its hooks are listed, and what it says of itself."""
    installed(
        "good",
        f"{BEFORE}{HOOK}def atomik_integration():\n    return atomik.Integration('good', 'does it')\ndef helper(): ...\n",
    )

    plugin = the_plugin()

    assert plugin[:6] == ("good", "active", "good", "1.0", ("atomik_before_publish", "atomik_integration"), None)
    assert plugin.integration.summary == "does it"


def test_an_object_in_a_module_can_be_a_plugin(installed):
    """The entry point may name an attribute, also one of an attribute."""
    source = f"class P:\n    {HOOK.replace(chr(10), chr(10) + '    ')}def atomik_discarded(self, error): ...\nclass ns: p = P()\n"
    installed("object", source, value="{module}:ns.p")

    assert the_plugin()[:6] == ("object", "active", "object", "1.0", ("atomik_discarded",), None)


def test_without_hooks_to_call_pluggy_is_not_asked_and_nothing_imported(installed):
    """An entry point that names `atomik_integration` itself is imported only to be described."""
    source = f"{HOOK}def atomik_integration():\n    return atomik.Integration('quiet', 'says only this')\n"
    module = installed("quiet", source, value="{module}:atomik_integration")

    registry = Registry()

    assert registry.hooks is None
    assert module not in sys.modules
    (entry,) = registry.entries
    plugin = entry.described()
    assert plugin[:6] == ("quiet", "active", "quiet", "1.0", ("atomik_integration",), None)
    assert plugin.integration.summary == "says only this"


@pytest.mark.parametrize("words", ["named", "Some-Dist", "some.dist", " x , named ", "*", "NAMED"])
def test_a_disabled_plugin_is_not_imported(installed, monkeypatch, words):
    """By its name, its distribution's, or a star, with spaces, in whatever spelling of these names pip takes."""
    module = installed("named", BEFORE, distribution="some_dist")
    monkeypatch.setenv("ATOMIK_DISABLE_PLUGINS", words)

    plugin = the_plugin()

    assert plugin[:6] == ("named", "disabled", "some_dist", "1.0", (), "ATOMIK_DISABLE_PLUGINS names it")
    assert module not in sys.modules


def test_of_two_distributions_with_a_plugin_of_one_name_the_first_is_used(installed):
    """The other is shadowed: not imported, and it says by whom."""
    installed("same", BEFORE, distribution="a")
    second = installed("same", BEFORE, distribution="b")

    used, shadowed = plugins()

    assert (used.status, used.distribution) == ("active", "a")
    assert (shadowed.status, shadowed.distribution) == ("shadowed", "b")
    assert shadowed.error == "the plugin 'same' of a 1.0 comes earlier on sys.path, and is used"
    assert second not in sys.modules


def test_a_disabled_plugin_shadows_nobody(installed, monkeypatch):
    """Disabling the first distribution is how one chooses the second."""
    installed("same", BEFORE, distribution="a")
    installed("same", BEFORE, distribution="b")
    monkeypatch.setenv("ATOMIK_DISABLE_PLUGINS", "a")

    assert [plugin.status for plugin in plugins()] == ["disabled", "active"]


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        pytest.param("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'", id="import"),
        pytest.param("def broken(:", "SyntaxError: ", id="syntax"),
        pytest.param("raise SystemExit(3)", "SystemExit: 3", id="exit"),
        pytest.param(f"{HOOK}def atomik_befor_publish(publication): ...", "there is no hook 'atomik_befor_publish'; there are atomik_", id="unknown hook"),
        pytest.param(f"{HOOK}def atomik_before_publish(publication, path): ...", "Argument(s) {'path'} are declared in the hookimpl", id="wrong argument"),
        pytest.param("import atomik\n@atomik.hookimpl(wrapper=True)\ndef atomik_after_publish(publication):\n    return (yield)", "atomik_after_publish is a wrapper, and Atomik's hooks take none", id="wrapper"),
        pytest.param("import atomik\n@atomik.hookimpl(hookwrapper=True)\ndef atomik_before_publish(publication):\n    yield", "atomik_before_publish is a wrapper", id="old wrapper"),
        pytest.param("def atomik_after_publish(publication): ...", "atomik_after_publish is not marked with @atomik.hookimpl", id="unmarked"),
        pytest.param("x = 1", "it implements no hook; there are atomik_", id="no hook"),
        pytest.param(f"{HOOK}def atomik_integration(): return 'me'", "TypeError: atomik_integration returned 'me', which is no atomik.Integration", id="wrong description"),
        pytest.param(f"{HOOK}def atomik_integration(): return 1/0", "ZeroDivisionError: division by zero", id="failing description"),
    ],
)  # fmt: skip
def test_a_broken_plugin_says_what_is_wrong_and_is_not_used(installed, source, complaint):
    """One bad plugin breaks neither the others nor the listing."""
    installed("bad", source)
    installed("good", BEFORE)

    bad, good = plugins()

    assert (bad.name, bad.status) == ("bad", "broken")
    assert complaint in bad.error
    assert "\n" not in bad.error
    assert (good.name, good.status) == ("good", "active")


def test_of_a_broken_plugin_no_hook_is_ever_called(installed):
    """Not even one that pluggy had taken before it came to the wrong one."""
    installed("bad", f"{BEFORE}{HOOK}def atomik_discarded(publication, reason): ...\n")

    registry = Registry()

    assert registry.entries[0].status == "broken"
    assert registry.hooks is None
    installed("good", BEFORE)
    hooks = Registry().hooks
    assert [implementation.plugin_name for implementation in hooks.atomik_before_publish.get_hookimpls()] == ["good"]


def test_an_attribute_that_is_missing_is_told(installed):
    """An entry point may name what is no longer there."""
    module = installed("gone", BEFORE, value="{module}:gone")

    assert the_plugin().error == f"AttributeError: module '{module}' has no attribute 'gone'"


def test_a_hook_of_a_later_version_may_be_marked_optional(installed):
    """A plugin that works with older versions of Atomik, too, marks what they do not know."""
    installed("ahead", f"{BEFORE}@atomik.hookimpl(optionalhook=True)\ndef atomik_to_come(publication): ...\n")

    assert the_plugin()[:5] == ("ahead", "active", "ahead", "1.0", ("atomik_before_publish",))


def test_an_interrupt_while_a_plugin_is_imported_is_no_broken_plugin(installed):
    """Ctrl-C ends the program, whatever was being imported."""
    installed("slow", "raise KeyboardInterrupt")

    with pytest.raises(KeyboardInterrupt):
        Registry()
