import sqlite3
import sys

database = sqlite3.connect(":memory:")
cursor = database.cursor()
statement = ""
for line in open("solution.sql", encoding="utf-8"):
    statement += line
    if sqlite3.complete_statement(statement):
        try:
            cursor.execute(statement)
        except sqlite3.Error as error:
            sys.exit("SQL: %s" % error)
        for row in cursor.fetchall():
            print("|".join("" if cell is None else str(cell) for cell in row))
        statement = ""
if statement.strip():
    sys.exit("SQL: a statement without its semicolon at the end")
