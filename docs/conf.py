"""How Sphinx builds the documentation."""

from atomik_core._version import __version__

project = "Atomik"
author = "The Atomik developers"
project_copyright = f"2026, {author}"
release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
default_role = "code"

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

autodoc_class_signature = "separated"
autodoc_default_options = {"exclude-members": "__init__, __new__"}
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_type_aliases = {"StrPath": "StrPath", "Sync": "Sync"}
autodoc_typehints_format = "short"

html_theme = "furo"
html_title = f"Atomik {release}"
