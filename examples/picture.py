"""Take the README's picture of the inspector: the demo's sample product, in a real Chromium.

pip install -e '.[all,test]' && apt-get install chromium
python examples/picture.py [examples/inspector.png]
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

import journy_track
from journy_track.cli import sample
from journy_track.inspector import Inspector

WIDTH, HEIGHT = 1280, 760


def main() -> None:
    """Run the sample against an inspector, open an event, and take the picture."""
    target = sys.argv[1] if len(sys.argv) > 1 else "examples/inspector.png"
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        sys.exit("This needs a Chromium: apt-get install chromium, or name one in CHROMIUM.")
    with Inspector() as inspector:
        journy_track.configure("key-of-the-picture", base_url=inspector.url)
        sample.run(30)
        journy_track.flush(60)
        inspector.answer_next(429)  # to show how a failure and its retry look
        for number, name in enumerate(("invited_member", "changed_plan", "exported_report"), start=1):
            journy_track.track(name, user=number, account="acme", channel="web", plan="Pro")
        journy_track.shutdown(60)
        take(inspector, chromium, target)
    print(f"{target}: {Path(target).stat().st_size // 1000} kB")


def take(inspector: Inspector, chromium: str, target: str) -> None:
    """Open the last invoice on the page, and save a screenshot."""
    invoice = next(r for r in reversed(inspector.requests) if r.json and r.json.get("name") == "created_invoice")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto(f"{inspector.url}/#/events/{invoice.number}")
        page.get_by_role("heading", name="created_invoice").wait_for()
        page.locator("#live[data-state=live]").wait_for()
        page.screenshot(path=target)
        browser.close()


if __name__ == "__main__":
    main()
