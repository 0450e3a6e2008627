"""Every hook, and everything else that a plugin's author needs, is documented."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from atomik_core import hookspecs, testing

DOCS = Path(__file__).parents[2] / "docs"
HOOKS = {name: member for name, member in vars(hookspecs).items() if name.startswith("atomik_")}


def test_there_are_the_four_hooks_that_the_design_names():
    """All of them are specifications that pluggy knows."""
    assert set(HOOKS) == {"atomik_integration", "atomik_before_publish", "atomik_after_publish", "atomik_discarded"}
    assert all(hasattr(hook, "atomik_spec") for hook in HOOKS.values())


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_is_documented_with_its_exact_signature(name):
    """In the reference, annotations included; and it has a docstring to be shown there."""
    signature = inspect.signature(HOOKS[name])
    bare = str(signature).replace("'", "")

    assert f".. autofunction:: {name}{bare}\n" in (DOCS / "reference" / "hooks.md").read_text()
    assert inspect.getdoc(HOOKS[name])


@pytest.mark.parametrize("name", HOOKS)
def test_the_guide_names_each_hook_with_its_arguments(name):
    """In its table, for who writes one."""
    arguments = ", ".join(inspect.signature(HOOKS[name]).parameters)

    assert f"| `{name}({arguments})` |" in (DOCS / "how-to" / "plugins.md").read_text()


@pytest.mark.parametrize("variable", ["ATOMIK_DISABLE_PLUGINS", "ATOMIK_STRICT_PLUGINS"])
@pytest.mark.parametrize("page", ["how-to/plugins.md", "reference/hooks.md"])
def test_the_environment_variables_are_documented(variable, page):
    """In the guide and in the reference."""
    assert f"\n`{variable}" in (DOCS / page).read_text()


def test_every_step_of_a_publication_is_explained_in_the_seam():
    """A step that nobody can look up is of no use to a test."""
    explained = inspect.getdoc(testing)

    assert all(f"\n{step} " in explained for step in testing.Step.__args__)
