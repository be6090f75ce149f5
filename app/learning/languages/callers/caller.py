import contextlib
import io
import json
import os
import signal
import sys
import time
import traceback
import types

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
    lines = source.split("\n")
    trace = [
        "line %d in %s: %s" % (f.lineno, f.name, lines[f.lineno - 1].strip() if f.lineno <= len(lines) else "")
        for f in frames[-5:]
    ]
    try:
        message = str(error)
    except Exception:  # the learner's own class may do anything here
        message = "its text could not be made"
    if isinstance(error, SyntaxError) and error.filename == "solution.py":
        trace, message = ["line %s: %s" % (error.lineno, (error.text or "").strip())], str(error.msg)
    return {"type": type(error).__name__, "message": message[:500], "trace": trace}


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
    hint = ""
    if isinstance(value, types.CoroutineType):
        hint = "; the function must not be async"
    elif hasattr(value, "__iter__"):
        hint = "; make a list of it with list(...)"
    raise TypeError("a result of type " + type(value).__name__ + " cannot be compared" + hint)


def missing(name):
    """What to say where the function is not there: what else is."""
    there = scope.get(name)
    if there is not None:
        return name + " is no function but a value of type " + type(there).__name__
    own = [key for key, value in scope.items() if getattr(value, "__module__", None) == "solution" and callable(value)]
    inside = next((key for key in own if isinstance(scope[key], type) and callable(getattr(scope[key], name, None))), None)
    if inside:
        return name + " stands inside the class " + inside + ": write it as a function of its own, without self"
    return "there is no function named " + name + ("; there is " + ", ".join(own[:8]) if own else "")


def out_of_time(*_):
    """Ends itself a moment before it is ended, to tell what was printed so far."""
    line = "\n" + job["nonce"] + json.dumps({"printed": printed.getvalue()[:MOST]}) + "\n"
    os.write(channel.fileno(), line.encode())
    os._exit(job["timeoutCode"])


source = open("solution.py", encoding="utf-8").read()
module = types.ModuleType("solution")
module.__file__ = os.path.abspath("solution.py")
sys.modules["solution"] = module
scope = module.__dict__
scope["exit"] = scope["quit"] = sys.exit
sys.setrecursionlimit(6000)
printed = Printed()
signal.signal(signal.SIGALRM, out_of_time)
signal.setitimer(signal.ITIMER_REAL, job["seconds"])
try:
    with contextlib.redirect_stdout(printed):
        try:
            exec(compile(source, "solution.py", "exec"), scope)
        except (SystemExit, EOFError):  # a main program of one's own below the function
            if not callable(scope.get(job["function"])):
                raise
    if not callable(scope.get(job["function"])):
        raise NameError(missing(job["function"]))
except BaseException as error:
    say({"load": failure(error), "stdout": printed.getvalue()})
    sys.exit(0)
for case, arguments in enumerate(job["inputs"]):
    printed, started = printed if case == 0 else Printed(), time.perf_counter()  # what was printed before, too
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
