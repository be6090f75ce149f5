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
    "c calls mount": Reach("c", _C, 'SYS_mount, "x", "/tmp", "tmpfs", 0, 0', "SYS_getpid"),
}  # fmt: skip

# What eats without end: it must be stopped, and nothing of it may stay.
EATERS: dict[str, tuple[LanguageName, str]] = {
    "python forks": ("python", "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"),
    "python threads": (
        "python", "import threading, time\nwhile True:\n    threading.Thread(target=time.sleep, args=(99,)).start()"
    ),
    "python memory": ("python", "x = []\nwhile True: x.append(bytearray(10**7))"),
    "python memory of many": (
        "python", "import os, time\nfor _ in range(30):\n    if os.fork() == 0:\n        x = b'x' * (60 * 10**6)\n        time.sleep(2)\n"
        "        os._exit(0)\nfor _ in range(30): os.wait()",
    ),
    "python shared pages": (
        "python", "import mmap\nm = mmap.mmap(-1, 2 * 10**9)\nfor i in range(0, len(m), 4096): m[i] = 1\nimport time; time.sleep(1)",
    ),
    "python files without a name": (
        "python", "import os\nfor n in range(40):\n    name = os.environ['TMPDIR'] + '/' + str(n)\n    f = os.open(name, os.O_RDWR | os.O_CREAT)\n"
        "    os.unlink(name)\n    for _ in range(8): os.write(f, b'x' * 10**6)",
    ),
    "python folders that are closed": (
        "python", "import os\nfor n in range(40):\n    name = os.environ['TMPDIR'] + '/' + str(n)\n    os.mkdir(name, 0o300)\n"
        "    open(name + '/x', 'wb').write(b'x' * 8 * 10**6)",
    ),
    "python disk": ("python", "f = open(__import__('os').environ['TMPDIR'] + '/x', 'wb')\nwhile True: f.write(b'x' * 10**6)"),
    "python many files": ("python", "for n in range(10**9): open(__import__('os').environ['TMPDIR'] + '/%d' % n, 'w').write('x' * 4096)"),
    "python shared memory": ("python", "f = open('/dev/shm/x', 'wb')\nfor _ in range(2000): f.write(b'x' * 10**6)"),
    "python shared memory, many files": (
        "python", "for n in range(10**9): open('/dev/shm/%d' % n, 'wb').write(b'x' * 10**6)"
    ),
    "python output": ("python", "while True: print('x' * 10**5)"),
    "python errors": ("python", "import sys\nwhile True: sys.stderr.write('x' * 10**5)"),
    "python sleeps": ("python", "import time; time.sleep(999)"),
    "python ignores signals": (
        "python", "import signal\nfor s in (1, 2, 15): signal.signal(s, signal.SIG_IGN)\nwhile True: pass"
    ),
    "python hides behind two forks": (
        "python", "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        time.sleep(777)\n    os._exit(0)"
    ),
    "javascript memory": ("javascript", "const x = []; for (;;) x.push(new Array(1e6).fill(x.length + 0.5));"),
    "javascript timers": ("javascript", "setInterval(() => {}, 1000)"),
    "ruby forks": ("ruby", "loop { begin; fork { sleep 99 }; rescue SystemCallError; end }"),
    "bash bomb": ("bash", "f() { f | f & }; f; sleep 99"),
    "c memory": ("c", "#include <stdlib.h>\n#include <string.h>\nint main(void) { for (;;) memset(malloc(1 << 20), 1, 1 << 20); }"),
    "c bomb of the compiler": ("c", "char a[1ull << 40] = {1}; int main(void) { return a[0]; }"),
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
