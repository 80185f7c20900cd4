"""Who works there, and what they may spend."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.contrib.auth.models import Group
from django.db import transaction

from accounts.models import User
from billing import limiting, money
from billing.models import Budget


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A person of the demo company, their calls on a weekday, and how many percent of them are on the dear model."""

    email: str
    name: str
    group: str
    calls: float
    smart: int


PEOPLE = tuple(
    Person(email=f"{email}@example.com", name=name, group=group, calls=calls, smart=smart)
    for email, name, group, calls, smart in (
        ("user", "Una User", "Engineering", 12, 35),
        ("ada", "Ada Okafor", "Engineering", 24, 50),
        ("bruno", "Bruno Keller", "Engineering", 18, 30),
        ("chen", "Chen Wei", "Engineering", 12, 65),
        ("dana", "Dana Fitzgerald", "Support", 22, 6),
        ("elif", "Elif Yılmaz", "Support", 18, 10),
        ("farid", "Farid Nasser", "Support", 14, 4),
        ("greta", "Greta Lind", "Marketing", 10, 40),
        ("hugo", "Hugo Marchetti", "Marketing", 8, 55),
        ("ines", "Inês Duarte", "Marketing", 9, 20),
        ("jonas", "Jonas Weber", "Legal", 6, 85),
        ("kira", "Kira Novak", "Legal", 4, 75),
    )
)
GROUPS = {"Engineering": "6", "Support": "1.40", "Marketing": "2.20", "Legal": "2"}  # dollars a month
EVERYONE_MONTHLY = "12"


def make(*, by: User, now: datetime) -> list[User]:
    """The people, in the order of PEOPLE, with their groups and the groups' budgets; makes who is missing."""
    for person in PEOPLE:
        _make(person)
    for name, dollars in GROUPS.items():
        group = Group.objects.get(name=name)
        _budget(scope=Budget.Scope.GROUP, group=group, dollars=dollars, by=by, now=now)
    _budget(scope=Budget.Scope.EVERYONE, group=None, dollars=EVERYONE_MONTHLY, by=by, now=now)
    users = User.objects.prefetch_related("groups").in_bulk([person.email for person in PEOPLE], field_name="email")
    return [users[person.email] for person in PEOPLE]


@transaction.atomic
def _make(person: Person) -> None:
    user, made = User.objects.get_or_create(email=person.email, defaults={"name": person.name})
    if made:
        user.set_unusable_password()
        user.save(update_fields=["password"])
    group, _ = Group.objects.get_or_create(name=person.group)
    user.groups.add(group)


@transaction.atomic
def _budget(*, scope: str, group: Group | None, dollars: str, by: User, now: datetime) -> None:
    limit = money.to_nano(Decimal(dollars))
    budget, made = Budget.objects.get_or_create(
        scope=scope, group=group, period=Budget.Period.MONTH, defaults={"limit": limit}
    )
    if made:
        limiting.note_change(budget=budget, before=None, by=by, now=now, reason="Demo data")
