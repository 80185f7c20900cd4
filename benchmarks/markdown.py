"""A long answer as models write them: prose, lists, code and tables."""

import itertools

_PART = """## Step {n}

The import runs **twice** when two workers take the same file: each reads `invoice_{n}.csv`, and neither knows of the
other. Give every line an identity that comes from the data, not from the run; see [the guide](https://guide.example).

1. Load the file into `staging_line` as it is, in its own transaction.
2. Put a unique index on the natural key, and keep it.
3. Copy across, and compare the count with the file's trailer.

```python
def copy(line: Line, run: int = {n}) -> bool:
    # a second run adds 0 rows
    return bool(Line.objects.bulk_create([line], ignore_conflicts=True))
```

| Way | Rows | Safe |
|---|--:|---|
| Unique key | {n} | yes, the index decides |
| Look first | {n} | no, both may look before either writes |

"""


def answer(length: int) -> str:
    """One of so many characters."""
    parts = "".join(_PART.format(n=number) for number in range(1, 2 + length // 500))
    return "".join(itertools.islice(parts, length))
