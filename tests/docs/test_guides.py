"""The tutorial and the guides are followed step by step."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from .following import Reader
from .reading import DOCS, blocks

#: The pages which state that a test follows them.
PAGES = [page for page in sorted(DOCS.rglob("*.md")) if "tests/docs/following.py" in page.read_text(encoding="utf-8")]
NAMES = [str(page.relative_to(DOCS)) for page in PAGES]


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_a_guide_does_what_it_says(page: Path, api, tmp_path):
    if shutil.which("bash") is None or shutil.which("curl") is None or sys.platform == "win32":
        pytest.skip("needs bash, curl and signals")
    with Reader(tmp_path / "shop", api) as reader:
        reader.follow(blocks(page.read_text(encoding="utf-8"), str(page.relative_to(DOCS.parent))))


SMALL = """
```python
# app.py
import journy_track

journy_track.configure()
journy_track.track("signed_in", user="u1")
print("done")
```

```console
$ export JOURNY_BASE_URL=http://127.0.0.1:8470
$ python app.py
done
```

```text
POST /track signed_in user=u1
```
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("\ndone", "\nDone"),
        ("user=u1\n", "user=u2\n"),
        ("```text", "```text\nPOST /track signed_out user=u1"),
        ("```text\nPOST /track signed_in user=u1\n```", ""),
        ("python app.py", "python other.py"),
        ("```text", "```text\nWhat arrives:"),
    ],
    ids=["what is printed", "what is sent", "too little is sent", "too much is sent", "what is typed", "not read"],
)
def test_a_guide_that_is_wrong_is_found(api, tmp_path, right: str, wrong: str):
    assert right in SMALL
    with Reader(tmp_path / "shop", api) as reader, pytest.raises(AssertionError):
        reader.follow(blocks(SMALL.replace(right, wrong)))


@pytest.mark.slow
def test_a_server_that_logs_a_warning_is_found(api, tmp_path):
    page = SMALL.replace("```console", "<!-- runs: server -->\n```console").replace("\ndone", "")
    serves = 'print("journy_track: trouble", flush=True)\nimport socket\nserver = socket.create_server(("", 8000))\n'
    page = page.replace('print("done")', serves + "server.accept()\nserver.accept()")
    with Reader(tmp_path / "shop", api) as reader, pytest.raises(AssertionError, match="trouble"):
        reader.follow(blocks(page))
