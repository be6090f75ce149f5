import contextlib
import io
import json
import os
import sys
import time
import traceback

channel = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8", errors="backslashreplace")
os.dup2(2, 1)
job = json.load(open("job.json", encoding="utf-8"))
MOST = 4000


class Printed(io.StringIO):
    def write(self, text):
        return super().write(text) if self.tell() < MOST else len(text)


def say(message):
    channel.write(job["nonce"] + json.dumps(message) + "\n")


def failure(error):
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == "solution.py"]
    lines = source.splitlines()
    trace = [
        "line %d in %s: %s" % (f.lineno, f.name, lines[f.lineno - 1].strip() if f.lineno <= len(lines) else "")
        for f in frames[-5:]
    ]
    if isinstance(error, SyntaxError) and error.filename == "solution.py":
        trace = ["line %s: %s" % (error.lineno, (error.text or "").strip())]
    return {"type": type(error).__name__, "message": str(error)[:500], "trace": trace}


def plain(value):
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise TypeError("keys of a map must be strings, not " + type(key).__name__)
        return {key: plain(item) for key, item in value.items()}
    if value is None or type(value) in (bool, int, float, str):
        return value
    raise TypeError("a result of type " + type(value).__name__ + " cannot be compared")


source = open("solution.py", encoding="utf-8").read()
scope = {"__name__": "solution"}
printed = Printed()
try:
    with contextlib.redirect_stdout(printed):
        exec(compile(source, "solution.py", "exec"), scope)
    if not callable(scope.get(job["function"])):
        raise NameError("there is no function named " + job["function"])
except BaseException as error:
    say({"load": failure(error), "stdout": printed.getvalue()})
    sys.exit(0)
for case, arguments in enumerate(job["inputs"]):
    printed, started = Printed(), time.perf_counter()
    answer = {"case": case}
    say({"begin": case})
    try:
        with contextlib.redirect_stdout(printed):
            value = scope[job["function"]](*arguments)
        answer["value"] = plain(value)
        json.dumps(answer)
    except BaseException as error:
        answer = {"case": case, "error": failure(error)}
    answer["ms"] = round((time.perf_counter() - started) * 1000, 2)
    answer["stdout"] = printed.getvalue()[:MOST]
    say(answer)
