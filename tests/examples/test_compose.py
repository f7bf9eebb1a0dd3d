"""The compose file of the shop: what it starts exists. `tests/cli/test_demo_jobs.py` tests that the shop works."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHOP = ROOT / "examples" / "shop_jobs"
TEXT = (SHOP / "compose.yaml").read_text(encoding="utf-8")
CODE = "".join(path.read_text(encoding="utf-8") for path in SHOP.glob("*.py"))


@pytest.mark.parametrize("module", ["web", "billing"])
def test_each_server_serves_a_module_of_the_shop(module):
    assert f"uvicorn {module}:app " in TEXT
    assert "app = Starlette(" in (SHOP / f"{module}.py").read_text(encoding="utf-8")


def test_each_variable_is_one_that_is_read():
    settings = (ROOT / "journy_track" / "_model" / "config.py").read_text(encoding="utf-8")
    names = set(re.findall(r"\b([A-Z_]+):", TEXT)) - {"PYTHONDONTWRITEBYTECODE"}
    assert {"JOURNY_CARRIER_SECRET", "REDIS_URL", "BILLING_URL", "SERVICE"} <= names
    assert not [name for name in names if f'"{name}"' not in settings + CODE]


def test_each_extra_is_one():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    asked = {extra for names in re.findall(r"/src\[([\w,]+)\]", TEXT) for extra in names.split(",")}
    assert asked == {"all", "rq"} <= set(extras)


def test_services_call_each_other_by_their_names():
    services = set(re.findall(r"^  (\w+):$", TEXT.partition("\nservices:\n")[2], re.MULTILINE))
    assert services == {"web", "worker", "billing", "inspector", "redis"}
    assert set(re.findall(r"\w+://(\w+):\d+", TEXT)) - {"localhost"} <= services
    assert '"billing"' in CODE  # in propagate_to
