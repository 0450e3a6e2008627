"""How Sphinx builds the documentation."""

import atomik
from atomik_core._version import __version__

project = "Atomik"
author = "The Atomik developers"
project_copyright = f"2026, {author}"
release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build"]
default_role = "code"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_class_signature = "separated"
autodoc_default_options = {"exclude-members": "__init__, __new__"}
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_type_aliases = {"StrPath": "StrPath", "Sync": "Sync"}
autodoc_typehints_format = "short"

# A class is documented where users find it, not in the private module that defines it.
for _name in atomik.__all__:
    _public = getattr(atomik, _name)
    if isinstance(_public, type):
        _public.__module__ = "atomik.errors" if issubclass(_public, BaseException) else "atomik"

# What is copied is the command, without its prompt and without what it prints.
copybutton_prompt_text = r"\$ "
copybutton_prompt_is_regexp = True

html_theme = "furo"
html_title = f"Atomik {release}"
html_static_path = ["_static"]
html_css_files = ["atomik.css"]
