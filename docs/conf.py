"""The documentation as a site: `make site`, where a warning is an error."""

from __future__ import annotations

from sentilora import __version__

project = "sentilora"
author = "The sentilora authors"
copyright = author
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns: list[str] = []
default_role = "code"  # our docstrings write `code` as Markdown does

myst_heading_anchors = 3

# Only docstrings are read: the site builds without PyTorch.
autodoc_mock_imports = ["torch", "transformers", "peft", "accelerate", "datasets", "evaluate", "onnx"]
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
napoleon_use_ivar = True  # attributes in a list, where autodoc has none of its own

html_theme = "furo"
html_title = f"sentilora {__version__}"
html_show_sourcelink = False
html_copy_source = False
