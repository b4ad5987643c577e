"""Tables as they come: ``reading`` finds how a file is written, ``columns`` and ``dates`` make numbers of it.

``target`` takes the column that is to be predicted, as it is written.
"""

from gdnp.tables.columns import TableColumns
from gdnp.tables.dates import DateParts
from gdnp.tables.reading import Reading, Table, is_table, read_table
from gdnp.tables.target import Target, column_of, taken, task_of

__all__ = [
    "DateParts",
    "Reading",
    "Table",
    "TableColumns",
    "Target",
    "column_of",
    "is_table",
    "read_table",
    "taken",
    "task_of",
]
