import json
import sqlite3
import time

job = json.load(open("job.json", encoding="utf-8"))
query = open("solution.sql", encoding="utf-8").read().strip()
ALLOWED = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    getattr(sqlite3, "SQLITE_RECURSIVE", 33),
}
MOST_ROWS = 2000


def plain(value):
    return value if value is None or type(value) in (int, float, str) else str(value)


for number, rows in enumerate(job["rows"]):
    print(job["nonce"] + json.dumps({"begin": number}), flush=True)
    started = time.perf_counter()
    answer = {"case": number}
    database = sqlite3.connect(":memory:")
    filled = False
    try:
        database.executescript(job["tables"])
        database.executescript(rows)
        filled = True
        database.set_authorizer(lambda action, *_: sqlite3.SQLITE_OK if action in ALLOWED else sqlite3.SQLITE_DENY)
        cursor = database.execute(query)
        if cursor.description is None:
            raise sqlite3.ProgrammingError("write one SELECT statement")
        answer["value"] = [[plain(cell) for cell in row] for row in cursor.fetchmany(MOST_ROWS)]
        answer["columns"] = [column[0] for column in cursor.description]
    except (sqlite3.Error, sqlite3.Warning, ValueError, MemoryError) as error:
        message = str(error)[:500]
        if not filled:
            message = "the rows could not be put into the tables: " + message
        elif message == "not authorized":
            message = "write one SELECT statement, and nothing that changes the database: the tables are there already"
        answer["error"] = {"type": "SQL", "message": message, "trace": []}
    answer["ms"] = round((time.perf_counter() - started) * 1000, 2)
    answer["stdout"] = ""
    print(job["nonce"] + json.dumps(answer), flush=True)
