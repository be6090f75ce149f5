"""Programs that try to get out of the sandbox, and programs that try to be judged right without being right.

Each program that reaches out says ESCAPED when it succeeds. Its control does the same thing to something allowed: it must
say ESCAPED, or the program proves nothing.
"""

from dataclasses import dataclass
from pathlib import Path

from app.learning.languages.base import LanguageName


@dataclass(frozen=True)
class Reach:
    """``template`` with ``out`` in the place of {} must be contained; with ``allowed`` it must succeed."""

    language: LanguageName
    template: str
    out: str
    allowed: str


_READ = "print('ESCAPED', open({}, 'rb').read(3))"
_LIST = "import os; assert os.listdir({}); print('ESCAPED')"
_WRITE = "open({}, 'w').write('x'); print('ESCAPED')"
_CALL = "import ctypes; print('ESCAPED' if ctypes.CDLL(None).syscall({}) >= 0 else 'kept')"
_SOCKET = "import socket; socket.socket({}).close(); print('ESCAPED')"
_RUN = "import subprocess; subprocess.run({}, check=True, capture_output=True); print('ESCAPED')"
_JS_READ = "require('fs').readFileSync({}); console.log('ESCAPED')"
_JS_RUN = "require('child_process').execSync({}); console.log('ESCAPED')"
_RB_READ = "File.read({}); puts 'ESCAPED'"
_SH = "{} && echo ESCAPED"
_C = '#include <stdio.h>\n#include <unistd.h>\n#include <sys/syscall.h>\nint main(void) { if (syscall({}) >= 0) puts("ESCAPED"); }'
_OWN_FILE, _GETPID = "'solution.py'", "39"
_OWN_PLACE = "__import__('os').environ['TMPDIR'] + '/ok'"

REACHES: dict[str, Reach] = {
    **{
        f"python reads {path}": Reach("python", _READ, repr(path), _OWN_FILE)
        for path in (
            "/etc/passwd", "/etc/shadow", "/etc/hosts", "/proc/1/root/etc/passwd", "/proc/self/root/etc/passwd",
            "/dev/mem", "/dev/sda", "/dev/vda", "/dev/kmsg", "/proc/kcore", "/sys/kernel/notes",
            str(Path(__file__)),
        )
    },
    **{
        f"python lists {path}": Reach("python", _LIST, repr(path), "'/usr'")
        for path in ("/root", "/home", "/var", "/sys", "/run", "/boot", str(Path.home()))
    },
    **{
        f"python writes {path}": Reach("python", _WRITE, repr(path), _OWN_PLACE)
        for path in ("/x", "/dev/x", "/usr/bin/x", "/etc/x", "/lib/x", "/proc/sys/kernel/hostname", "/proc/sysrq-trigger", "/x/y")
    },
    **{
        f"python calls {name}": Reach("python", _CALL, numbers, _GETPID)
        for name, numbers in {
            "ptrace": "101, 16, 1, 0, 0", "process_vm_readv": "310, 1, 0, 0, 0, 0, 0", "mount": "165, b'x', b'/tmp', b'tmpfs', 0, 0",
            "umount": "166, b'/proc', 2", "pivot_root": "155, b'/tmp', b'/tmp'", "chroot": "161, b'/tmp'",
            "unshare": "272, 0x10000000", "setns": "308, 0, 0", "bpf": "321, 0, 0, 0", "keyctl": "250, 0, 0, 0",
            "add_key": "248, b'user', b'x', b'y', 1, -3", "io_uring_setup": "425, 8, 0", "userfaultfd": "323, 0",
            "perf_event_open": "298, 0, 0, -1, -1, 0", "open_by_handle_at": "304, 0, 0, 0", "kexec_load": "246, 0, 0, 0, 0",
            "init_module": "175, 0, 0, b''", "reboot": "169, 0xfee1dead, 672274793, 0", "swapon": "167, b'/tmp/x', 0",
            "personality": "135, 0x0040000", "setuid": "105, 0", "setgid": "106, 0", "sethostname": "170, b'x', 1",
            "clock_settime": "227, 0, 0", "clone with a new user": "56, 0x10000011, 0, 0, 0, 0", "fsopen": "430, b'tmpfs', 0",
            "pidfd_getfd": "438, 0, 0, 0", "x32 getpid": "0x40000027",
        }.items()
    },
    **{
        f"python opens a socket of {name}": Reach("python", _SOCKET, kind, "socket.AF_UNIX")
        for name, kind in {"netlink": "16, 3", "packet": "17, 3", "vsock": "40, 1", "raw": "2, 3, 1"}.items()
    },
    "python talks to other hosts": Reach(
        "python", "import socket\ns = socket.socket()\ns.bind(('127.0.0.1', 0))\ns.listen()\n"
        "socket.create_connection({}, 1)\nprint('ESCAPED')",
        "('10.0.0.1', 80)", "s.getsockname()",
    ),
    "python becomes root": Reach("python", _RUN, "['su', '-c', 'id']", "['true']"),
    "python follows a link": Reach(
        "python", "import os; l = os.environ['TMPDIR'] + '/l'; os.symlink({}, l); print('ESCAPED', open(l).read(1))", "'/etc/passwd'", "os.path.abspath('solution.py')"
    ),
    "python sees other processes": Reach(
        "python", "import os\nfor p in os.listdir('/proc'):\n    if p.isdigit() and {}: print('ESCAPED')",
        "b'pytest' in open('/proc/%s/cmdline' % p, 'rb').read()", "int(p) == os.getpid()",
    ),
    "python types into a terminal": Reach(
        "python", "import fcntl, os\nfd = os.open('/dev/null', 2)\n{}\nprint('ESCAPED')", "fcntl.ioctl(fd, 0x5412, b'x')", "pass"
    ),
    "python finds open files of ours": Reach(
        "python", "import os\nfor fd in os.listdir('/proc/self/fd'):\n    try: t = os.readlink('/proc/self/fd/' + fd)\n"
        "    except OSError: continue\n    if {}: print('ESCAPED')",
        "t.startswith('/') and not t.startswith(('/dev/null', os.getcwd(), '/proc', '/memfd', '/usr'))", "t.startswith(('/', 'pipe'))",
    ),
    "python finds our environment": Reach(
        "python", "import os\nif any(name in {} for name in os.environ): print('ESCAPED')",
        "('TOOLOO_DATA_DIR', 'VIRTUAL_ENV', 'PYTEST_CURRENT_TEST', 'USER')", "('PATH',)",
    ),
    "javascript reads": Reach("javascript", _JS_READ, "'/etc/passwd'", "'solution.cjs'"),
    "javascript runs": Reach("javascript", _JS_RUN, "'cat /etc/passwd'", "'true'"),
    "javascript writes": Reach(
        "javascript", "require('fs').writeFileSync({}, 'x'); console.log('ESCAPED')", "'/usr/x'", "process.env.TMPDIR + '/x'"
    ),
    "typescript reads": Reach(
        "typescript", "import('node:fs').then((fs) => { fs.readFileSync({} as string); console.log('ESCAPED') })",
        "'/etc/passwd'", "'solution.ts'",
    ),
    "ruby reads": Reach("ruby", _RB_READ, "'/etc/passwd'", "'solution.rb'"),
    "ruby runs": Reach("ruby", "puts 'ESCAPED' if system({})", "'cat /etc/passwd >/dev/null 2>&1'", "'true'"),
    "bash reads": Reach("bash", _SH, "cat /etc/passwd", 'cat "$HOME/solution.sh"'),
    "bash writes": Reach("bash", _SH, "echo x > /usr/x", 'echo x > "$TMPDIR/x"'),
    "bash connects": Reach("bash", _SH, "exec 3<>/dev/tcp/127.0.0.1/22", "true"),
    "bash mounts": Reach("bash", _SH, "mount -t tmpfs none /tmp/files", "true"),
    "sql attaches": Reach("sql", "{}\nSELECT 'ESCAPED';", "ATTACH DATABASE '/etc/x' AS a;", "ATTACH DATABASE ':memory:' AS a;"),
    "sql loads a library": Reach("sql", "SELECT {};\nSELECT 'ESCAPED';", "load_extension('x')", "1"),
    "c calls unshare": Reach("c", _C, "SYS_unshare, 0x10000000", "SYS_getpid"),
    "c calls shmget": Reach("c", _C, "SYS_shmget, 0, 10000, 01600", "SYS_getpid"),
    "c calls semget": Reach("c", _C, "SYS_semget, 0, 10, 01600", "SYS_getpid"),
    "c calls msgget": Reach("c", _C, "SYS_msgget, 0, 01600", "SYS_getpid"),
    "c calls setsid": Reach("c", _C, "SYS_setsid", "SYS_getpid"),
    "c calls mount": Reach("c", _C, 'SYS_mount, "x", "/tmp", "tmpfs", 0, 0', "SYS_getpid"),
}  # fmt: skip


@dataclass(frozen=True)
class Eater:
    """``template`` with ``much`` in the place of MUCH must be stopped; with ``little`` it must end well."""

    language: LanguageName
    template: str
    much: str = "iter(int, 1)"  # an iterator without an end
    little: str = "range(2)"


_TMP = "import os\ntmp = os.environ['TMPDIR'] + '/'\n"

# What eats without end: it must be stopped, and nothing of it may stay.
EATERS: dict[str, Eater] = {
    "python forks": Eater("python", "import os\nfor _ in MUCH:\n    try: os.fork()\n    except OSError: pass"),
    "python threads": Eater(
        "python", "import threading, time\nfor _ in MUCH:\n    threading.Thread(target=time.sleep, args=(99,), daemon=True).start()"
    ),
    "python memory": Eater("python", "x = []\nfor _ in MUCH: x.append(bytearray(10**7))"),
    "python memory of many": Eater(
        "python", "import os, time\nfor _ in range(MUCH):\n    if os.fork() == 0:\n        x = b'x' * (60 * 10**6)\n        time.sleep(2)\n"
        "        os._exit(0)\nfor _ in range(MUCH): os.wait()", "30", "2",
    ),
    "python shared pages": Eater(
        "python", "import mmap\nm = mmap.mmap(-1, MUCH)\nfor i in range(0, len(m), 4096): m[i] = 1\nimport time; time.sleep(1)",
        "2 * 10**9", "10**6",
    ),
    "python files without a name": Eater(
        "python", _TMP + "for n in range(MUCH):\n    f = os.open(tmp + str(n), os.O_RDWR | os.O_CREAT)\n"
        "    os.unlink(tmp + str(n))\n    for _ in range(8): os.write(f, b'x' * 10**6)", "40", "1",
    ),
    "python folders that are closed": Eater(
        "python", _TMP + "for n in range(MUCH):\n    os.mkdir(tmp + str(n), 0o300)\n"
        "    open(tmp + str(n) + '/x', 'wb').write(b'x' * 8 * 10**6)", "40", "1",
    ),
    "python disk": Eater("python", _TMP + "f = open(tmp + 'x', 'wb')\nfor _ in MUCH: f.write(b'x' * 10**6)"),
    "python many files": Eater(
        "python", _TMP + "for n in range(MUCH): open(tmp + str(n), 'w').write('x' * 4096)", "10**9", "2"
    ),
    "python shared memory": Eater(
        "python", "import os\nf = open('/dev/shm/tooloo-eater-%d' % os.getpid(), 'wb')\nfor _ in range(MUCH): f.write(b'x' * 10**6)", "2000", "2"
    ),
    "python shared memory, many files": Eater(
        "python", "import os\nfor n in range(MUCH): open('/dev/shm/tooloo-eater-%d-%d' % (os.getpid(), n), 'wb').write(b'x' * 10**6)", "10**9", "2"
    ),
    "python output": Eater("python", "for _ in MUCH: print('x' * 10**4)"),
    "python errors": Eater("python", "import sys\nfor _ in MUCH: sys.stderr.write('x' * 10**4)"),
    "python sleeps": Eater("python", "import time; time.sleep(MUCH)", "999", "0.1"),
    "python ignores signals": Eater(
        "python", "import signal\nfor s in (1, 2, 15): signal.signal(s, signal.SIG_IGN)\nfor _ in MUCH: pass"
    ),
    "python hides behind two forks": Eater(
        "python", "import os, time\nif os.fork() == 0:\n    try: os.setsid()\n    except OSError: pass\n    if os.fork() == 0:\n        time.sleep(MUCH)\n    os._exit(0)",
        "777", "0",
    ),
    "javascript memory": Eater(
        "javascript", "const x = []; for (let n = 0; n < MUCH; n++) x.push(new Array(1e6).fill(n + 0.5));", "Infinity", "2"
    ),
    "javascript timers": Eater(
        "javascript", "setInterval(() => {}, 10); setTimeout(() => process.exit(0), MUCH)", "2 ** 30", "50"
    ),
    "ruby forks": Eater("ruby", "MUCH.times { begin; fork { sleep 99 }; rescue SystemCallError; end }", "(10**9)", "2"),
    "bash bomb": Eater("bash", "f() { [ $1 -gt 0 ] && { f $(($1-1)) | f $(($1-1)) & }; }; f MUCH; sleep MUCH", "99", "1"),
    "c memory": Eater(
        "c", "#include <stdlib.h>\n#include <string.h>\n"
        "int main(void) { for (long n = 0; n < MUCH; n++) memset(malloc(1 << 20), 1, 1 << 20); }", "(1L << 40)", "2",
    ),
    "c bomb of the compiler": Eater("c", "char a[MUCH] = {1}; int main(void) { return a[0] - 1; }", "1ull << 40", "16"),
}  # fmt: skip
FINISHES = {"python hides behind two forks"}  # its first process ends by itself; the rest must end with it

# add(a, b) is judged on (1, 2) -> 3 and (20, 22) -> 42. None of these adds.
FORGERIES: dict[LanguageName, dict[str, str]] = {
    "python": {
        "always equal": "class E(int):\n    def __eq__(s, o): return True\n    __hash__ = int.__hash__\ndef add(a, b): return E(0)",
        "equal float": "class E(float):\n    def __eq__(s, o): return True\ndef add(a, b): return E(0)",
        "prints a result": "def add(a, b):\n    print('{\"case\": 0, \"value\": 3}')\n    return 0",
        "writes to the channel": "import os\ndef add(a, b):\n    for fd in range(3, 20):\n        try: os.write(fd, b'{\"case\": 0, \"passed\": true}\\n')\n        except OSError: pass\n    return 0",
        "answers with the nonce": "import json, os\njob = json.load(open('job.json'))\nfor fd in range(3, 20):\n    try:\n        for i in range(2): os.write(fd, (job['nonce'] + json.dumps({'case': i, 'value': 0, 'passed': True}) + chr(10)).encode())\n    except OSError: pass\nos._exit(0)",
        "looks for expected values": "import gc\ndef add(a, b):\n    found = [o for o in gc.get_objects() if isinstance(o, dict) and 'expected' in o]\n    return found[0]['expected'] if found else 0",
        "reads the job": "import json\ndef add(a, b): return json.load(open('job.json')).get('expected', [0])[0]",
        "reads the frames": "import sys\ndef add(a, b):\n    f = sys._getframe(1)\n    return f.f_locals.get('expected', f.f_globals.get('expected', 0))",
        "patches json": "import json\njson.dumps = lambda *a, **k: '{\"case\": 0, \"passed\": true}'\ndef add(a, b): return 0",
        "patches its caller": "import sys\nm = sys.modules['__main__']\nm.plain = lambda v: True\ndef add(a, b): return 0",
        "says it passed": "def add(a, b): return {'passed': True}",
        "exits with success": "import sys\nsys.exit(0)",
        "exits in the call": "import os\ndef add(a, b): os._exit(0)",
        "overwrites itself": "def add(a, b):\n    open('solution.py', 'w').write('x')\n    return 0",
        "raises success": "class Passed(BaseException): pass\ndef add(a, b): raise Passed('all cases pass')",
        "returns nothing": "def add(a, b): return None",
        "returns everything": "class A(list):\n    def __contains__(s, x): return True\ndef add(a, b): return A()",
        "is no function": "class add:\n    def __init__(s, *a): pass\n    def __eq__(s, o): return True",
        "changes its arguments": "def add(a, b):\n    a = b = 0\n    return a + b",
    },
    "javascript": {
        "valueOf": "function add() { return { valueOf() { return 3 }, toString() { return '3' } } }",
        "toJSON": "function add() { return { toJSON() { return 3 } } }",
        "prints a result": "function add() { console.log('{\"case\":0,\"value\":3}'); return 0 }",
        "writes to stdout": "function add() { process.stdout.write('{\"case\":0,\"passed\":true}\\n'); return 0 }",
        "patches stringify": "JSON.stringify = () => '{\"case\":0,\"passed\":true}'; function add() { return 0 }",
        "patches Array": "Array.isArray = () => true; Array.from = () => [3]; function add() { return 0 }",
        "patches Number": "Number.isFinite = () => true; function add() { return NaN }",
        "exits": "process.exit(0)",
        "exits in the call": "function add() { process.exit(0) }",
        "throws success": "function add() { throw { name: 'passed', message: 'all cases pass' } }",
        "a text": "function add(a, b) { return String(a + b) }",
        "a big integer": "function add(a, b) { return BigInt(a + b) }",
        "a promise": "async function add(a, b) { return a + b }",
        "a proxy": "function add() { return new Proxy({}, { get: () => 3 }) }",
        "a getter": "Object.defineProperty(globalThis, 'answer', { value: 1 }); function add() { return undefined }",
        "reads the job": "function add() { return 0 }\nif (typeof require !== 'undefined') add = () => require('fs').readFileSync('expected')",
        "pollutes prototypes": "Object.prototype.value = 3; Object.prototype.passed = true; function add() { return undefined }",
    },
    "ruby": {
        "always equal": "class Integer; def ==(o) true end; end\ndef add(a, b) 0 end",
        "to_json": "class Z; def to_json(*) '3' end; def to_s; '3' end; end\ndef add(a, b) Z.new end",
        "coerces": "class Z; def to_int; 3 end; def coerce(o) [3, 3] end; end\ndef add(a, b) Z.new end",
        "prints a result": "def add(a, b)\n  puts '{\"case\":0,\"value\":3}'\n  0\nend",
        "writes to the channel": "def add(a, b)\n  STDOUT.write(%q({\"case\":0,\"passed\":true}) + 10.chr)\n  0\nend",
        "patches json": "require 'json'\ndef JSON.generate(*) '{\"case\":0,\"passed\":true}' end\ndef add(a, b) 0 end",
        "exits": "exit!(0)",
        "exits in the call": "def add(a, b) exit!(0) end",
        "aborts in the call": "def add(a, b) abort('passed') end",
        "raises success": "class Passed < Exception; end\ndef add(a, b) raise Passed, 'all cases pass' end",
        "throws": "def add(a, b) throw :passed end",
        "a text": "def add(a, b) (a + b).to_s end",
        "a float": "def add(a, b) (a + b).to_f end",
        "a symbol": "def add(a, b) :passed end",
        "nothing": "def add(a, b) end",
        "finds objects": "def add(a, b) ObjectSpace.each_object(Hash).map { |h| h['expected'] }.compact.first || 0 end",
        "at exit": "at_exit { puts '{\"passed\":true}' }\ndef add(a, b) 0 end",
    },
}  # fmt: skip
FORGERIES["typescript"] = FORGERIES["javascript"]

# count-error-lines is judged by what a script prints. None of these counts.
SCRIPT_FORGERIES: dict[str, str] = {
    "exits with success": "exit 0",
    "says it passed": "echo passed",
    "prints a verdict": 'echo \'{"case": 0, "passed": true, "value": 1}\'',
    "prints every number": "seq 0 100000",
    "prints every number in one line": "seq -s ' ' 0 100000",
    "prints and takes back": "for n in $(seq 0 50); do printf '%s\\r' $n; done",
    "writes to other channels": "for fd in 3 4 5 6 7 8 9; do { echo 1 >&$fd; } 2>/dev/null; done",
    "prints as an error": "seq 0 50 >&2",
    "prints after its end": "(sleep 1; echo 1) & disown; exit 0",
    "kills its parent": "kill -9 $PPID; kill -9 1",
    "looks for what is expected": 'grep -rhs expected "$HOME" /tmp /proc/1/environ; env',
    "reads its launcher": 'cat "$HOME/main.sh" /proc/1/cmdline',
    "overwrites its launcher": 'echo "echo 1" > "$HOME/main.sh"; echo "echo 1" > "$HOME/solution.sh"',
    "overwrites what is given": "for f in *; do echo 1 > $f; done; cat *",
    "replaces its tools": "grep() { echo 1; }; wc() { echo 1; }; export -f grep wc; grep x *",
    "changes the path": 'mkdir "$TMPDIR/bin"; printf "#!/bin/bash\\necho 1" > "$TMPDIR/bin/x"; chmod +x "$TMPDIR/bin/x"; PATH=$TMPDIR/bin x',
    "leaves by a signal": "trap 'echo 1' EXIT TERM; kill -TERM $$",
    "becomes another program": "exec /usr/bin/printf passed",
    "ends its lines otherwise": "printf '1\\0\\v\\f'",
}

# open-invoices is judged on five data sets. None of these counts what is still to be paid.
QUERY_FORGERIES: dict[str, str] = {
    "a verdict": "SELECT 'passed'",
    "a line of the harness": "SELECT '{\"case\": 0, \"value\": [[1, 500]]}'",
    "the line after the first": "SELECT char(10) || '{\"case\": 0, \"value\": []}'",
    "everything": "SELECT * FROM invoices, lines, payments",
    "no row": "SELECT id, 0 FROM invoices WHERE 0",
    "the example alone": "VALUES (1, 500), (2, 0), (3, 300)",
    "texts": "SELECT CAST(id AS TEXT), '0' FROM invoices",
    "blobs": "SELECT id, x'00' FROM invoices",
    "not a number": "SELECT id, 9e999 - 9e999 FROM invoices",
    "infinite": "SELECT id, 9e999 FROM invoices",
    "the tables' own table": "SELECT * FROM sqlite_master",
    "two statements": "SELECT 1; SELECT 2",
    "another database": "ATTACH DATABASE 'job.json' AS job",
    "a pragma": "PRAGMA table_info(invoices)",
    "changes what is given": "UPDATE payments SET cents = 0",
    "changes and returns": "DELETE FROM invoices RETURNING id, 0",
    "a file": "SELECT readfile('job.json')",
    "a library": "SELECT load_extension('job')",
    "a view": "CREATE TEMP VIEW lines AS SELECT 1",
    "a plan": "EXPLAIN SELECT id, 0 FROM invoices",
    "without an end": "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x, 0 FROM n",
    "a huge cell": "SELECT id, hex(zeroblob(300000000)) FROM invoices",
    "nothing but a remark": "-- passed",
}  # fmt: skip
