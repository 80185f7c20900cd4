"""Demo data: a small company's spend over some months, the same at every run, as the product would have written it."""

from billing.demo.calls import MODELS, of_day
from billing.demo.company import PEOPLE, Person
from billing.demo.months import seed

__all__ = ["MODELS", "PEOPLE", "Person", "of_day", "seed"]
