"""Statements that run at every call of a model, compiled once for each driver.

SQLAlchemy's own cache saves the compiling alone: what it does besides for each execution is a quarter of what reserving
and settling a call costs (docs/decisions/012).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import StatementError
from sqlalchemy.sql.compiler import SQLCompiler

Statement = sa.Select[Any] | sa.sql.dml.UpdateBase  # Any: whatever is selected
Values = Mapping[str, Any]  # Any: what columns hold
Row = dict[str, Any]  # Any: as above
_Convert = Callable[[Any], Any]  # Any: as above, and as a driver takes and gives it


class Prepared:
    """A statement with named parameters; ``columns`` are those that an INSERT fills, by parameters of their names.

    Its errors are those of SQLAlchemy; a parameter that is missing is a KeyError. A list in it (``IN``) must have a
    parameter for each of its members.
    """

    def __init__(self, statement: Statement, columns: Sequence[str] | None = None) -> None:
        self._statement = statement
        self._columns = columns
        self._compiled: dict[str, _Compiled] = {}

    def run(self, connection: sa.Connection, first: Values, *others: Values) -> int:
        """Once for each; how many rows were changed, which drivers tell only of a single run."""
        compiled = self._for(connection.dialect)
        given = [compiled.parameters(values) for values in (first, *others)]
        return connection.exec_driver_sql(compiled.text, given if others else given[0]).rowcount

    def rows(self, connection: sa.Connection, values: Values) -> list[Row]:
        """What was selected or returned, by the names of the columns."""
        compiled = self._for(connection.dialect)
        return [compiled.row(row) for row in connection.exec_driver_sql(compiled.text, compiled.parameters(values))]

    def _for(self, dialect: sa.Dialect) -> "_Compiled":
        known = self._compiled.get(dialect.driver)
        if known is None:
            known = self._compiled[dialect.driver] = _Compiled(self._statement, self._columns, dialect)
        return known


class _Compiled:
    """A statement as one driver takes it, with what converts its parameters and its rows."""

    def __init__(self, statement: Statement, columns: Sequence[str] | None, dialect: sa.Dialect) -> None:
        compiled = statement.compile(dialect=dialect, column_keys=columns)
        assert isinstance(compiled, SQLCompiler)
        assert not compiled.post_compile_params, "a list whose length is not known has no text"
        self.text = compiled.string
        self._constants = {name: bind.value for name, bind in compiled.binds.items() if not bind.required}
        self._parameters: list[tuple[str, _Convert | None]] = [
            (name, compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect))
            for name in compiled.positiontup or ()
        ]
        self._row: list[tuple[str, _Convert | None]] = [
            (column.name, column.type.dialect_impl(dialect).result_processor(dialect, None))
            for column in statement.exported_columns
        ]

    def parameters(self, values: Values) -> tuple[Any, ...]:  # Any: as a driver takes it
        known = {**self._constants, **values}
        given = [(known[name], convert) for name, convert in self._parameters]
        try:
            return tuple(value if convert is None else convert(value) for value, convert in given)
        except (TypeError, ValueError, AttributeError) as error:  # of a type's conversion
            raise StatementError(str(error), self.text, None, error, hide_parameters=True) from error

    def row(self, given: Sequence[Any]) -> Row:  # Any: as a driver gives it
        return {
            name: value if convert is None else convert(value)
            for (name, convert), value in zip(self._row, given, strict=True)
        }
