"""`python manage.py …`; `fill COUNT` creates companies and users, `change COUNT` gives companies another plan."""

import os
import sys

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "settings"


def fill(count: int) -> None:
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from shop.models import Company

    call_command("migrate", run_syncdb=True, verbosity=0)
    Company.objects.bulk_create(Company(number=number, plan="pro", mrr="9.50") for number in range(count))
    User.objects.bulk_create(User(username=f"u{n}", email=f"u{n}@acme.com", first_name="Jo") for n in range(10))


def change(count: int) -> None:
    from shop.models import Company

    Company.objects.filter(number__lt=count).update(plan="free")


if __name__ == "__main__":
    if sys.argv[1] in ("fill", "change"):
        django.setup()
        globals()[sys.argv[1]](int(sys.argv[2]))
    else:
        from django.core.management import execute_from_command_line

        execute_from_command_line(sys.argv)
