"""The documentation site: `python -m sphinx -W --keep-going docs build/docs` builds it, without a network.

Needs the extras all, docs and test: to document an integration, its framework is imported.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

import journy_track  # noqa: E402 - the extensions beside this file come first

project = "journy_track"
version = release = journy_track.__version__
copyright = "the journy_track authors"  # noqa: A001 - Sphinx's name
language = "en"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton", "public_names", "docstrings", "pages"]
exclude_patterns = ["_ext", "_static"]
nitpicky = True
nitpick_ignore_regex = [
    # Python's own names and those of frameworks: their documentation is elsewhere, and no network is used to find it.
    ("py:.*", r"(?!journy_track\.).*"),
    # Type variables, and what signatures name that is private.
    ("py:class", r"journy_track\.(.+\.)?[A-Z]"),
    ("py:class", r"journy_track\.(_|inspector\.\w+\.).+"),
]

myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]

autodoc_member_order = "bysource"
autodoc_mock_imports = ["arq"]  # it takes another redis-py than Celery does, so it is not installed beside it
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True
add_module_names = False
toc_object_entries_show_parents = "hide"

copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = False
smartquotes = False  # options of commands begin with two dashes
pygments_style = "friendly"
pygments_dark_style = "monokai"

html_theme = "furo"
html_title = f"journy_track {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_search_scorer = str(HERE / "_ext" / "scorer.js")
html_copy_source = False
html_show_sphinx = False
html_last_updated_fmt = None  # the same bytes from the same source
html_theme_options = {"navigation_with_keys": True, "top_of_page_buttons": []}
