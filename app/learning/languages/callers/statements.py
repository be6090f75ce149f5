import sqlite3
import sys

database = sqlite3.connect(":memory:")
cursor = database.cursor()


def run(statement):
    try:
        cursor.execute(statement)
    except sqlite3.Error as error:
        sys.exit("SQL: %s" % error)
    for row in cursor.fetchall():
        print("|".join("" if cell is None else str(cell) for cell in row))


statement = ""
for part in open("solution.sql", encoding="utf-8").read().split(";"):
    statement += part + ";"
    if sqlite3.complete_statement(statement):  # and not within a text, a comment or a trigger
        run(statement)
        statement = ""
if statement.strip(" \t\r\n;"):  # the last one may have none
    run(statement[:-1])
