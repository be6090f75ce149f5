"""One function in every language, whose signature holds every type: the harness of each must carry them all."""

from app.learning.challenge_files import Case
from app.learning.languages.base import LanguageName, Parameter, Signature

# tally: for each name of ``orders``, the sum of its amounts; the rest of the arguments come back in the result.
SUM = Signature(
    name="tally_up",
    params=(
        Parameter(name="orders", type="map[list[int]]"),
        Parameter(name="note", type="optional[str]"),
        Parameter(name="factor", type="float"),
        Parameter(name="doubled", type="bool"),
        Parameter(name="extra", type="list[optional[int]]"),
    ),
    returns="map[optional[float]]",
)
CASES = [
    Case(arguments=({"tea": [1, 2], "café \"x\"\n": [4]}, "hi", 0.5, False, [1, None]),
         expected={"tea": 1.5, "café \"x\"\n": 2.0, "extra": 0.5, "hi": None}, hidden=False),
    Case(arguments=({}, None, 1.5, True, []), expected={"extra": 0.0}, hidden=True),
    Case(arguments=({"a": []}, "", -2.0, True, [None, -3]), expected={"a": 0.0, "extra": 12.0, "": None}, hidden=True),
]  # fmt: skip

RIGHT: dict[LanguageName, str] = {
    "python": """
def tally_up(orders, note, factor, doubled, extra):
    print("counting")
    times = factor * (2 if doubled else 1)
    result = {name: sum(amounts) * times for name, amounts in orders.items()}
    result["extra"] = sum(n for n in extra if n is not None) * times
    if note is not None:
        result[note] = None
    return result
""",
    "javascript": """
function tallyUp(orders, note, factor, doubled, extra) {
  console.log("counting");
  const times = factor * (doubled ? 2 : 1);
  const sum = (list) => list.reduce((a, b) => a + (b ?? 0), 0);
  const result = {};
  for (const [name, amounts] of Object.entries(orders)) result[name] = sum(amounts) * times;
  result.extra = sum(extra) * times;
  if (note !== null) result[note] = null;
  return result;
}
""",
    "typescript": """
function tallyUp(orders: Record<string, number[]>, note: string | null, factor: number, doubled: boolean,
                 extra: (number | null)[]): Record<string, number | null> {
  console.log("counting");
  const times: number = factor * (doubled ? 2 : 1);
  const sum = (list: (number | null)[]): number => list.reduce<number>((a, b) => a + (b ?? 0), 0);
  const result: Record<string, number | null> = {};
  for (const [name, amounts] of Object.entries(orders)) result[name] = sum(amounts) * times;
  result.extra = sum(extra) * times;
  if (note !== null) result[note] = null;
  return result;
}
""",
    "java": """
import java.util.*;

class Solution {
    static Map<String, Double> tallyUp(Map<String, List<Long>> orders, String note, double factor, boolean doubled,
                                       List<Long> extra) {
        System.out.println("counting");
        double times = factor * (doubled ? 2 : 1);
        Map<String, Double> result = new HashMap<>();
        for (var entry : orders.entrySet()) result.put(entry.getKey(), sum(entry.getValue()) * times);
        result.put("extra", sum(extra) * times);
        if (note != null) result.put(note, null);
        return result;
    }

    static long sum(List<Long> numbers) {
        long total = 0;
        for (Long n : numbers) if (n != null) total += n;
        return total;
    }
}
""",
    "c": """
map_optional_float tally_up(map_list_int orders, const char *note, double factor, bool doubled, list_optional_int extra) {
    printf("counting\\n");
    double times = factor * (doubled ? 2 : 1);
    map_optional_float result = { calloc(orders.length + 2, sizeof(char *)), calloc(orders.length + 2, sizeof(double *)), 0 };
    for (size_t i = 0; i < orders.length; i++) {
        double *total = calloc(1, sizeof *total);
        for (size_t j = 0; j < orders.values[i].length; j++) *total += orders.values[i].items[j];
        *total *= times;
        result.keys[result.length] = orders.keys[i];
        result.values[result.length++] = total;
    }
    double *total = calloc(1, sizeof *total);
    for (size_t i = 0; i < extra.length; i++) if (extra.items[i]) *total += *extra.items[i];
    *total *= times;
    result.keys[result.length] = "extra";
    result.values[result.length++] = total;
    if (note) { result.keys[result.length] = note; result.values[result.length++] = NULL; }
    return result;
}
""",
    "cpp": """
map<string, optional<double>> tally_up(map<string, vector<long long>> orders, optional<string> note, double factor,
                                       bool doubled, vector<optional<long long>> extra) {
    cout << "counting" << endl;
    double times = factor * (doubled ? 2 : 1);
    map<string, optional<double>> result;
    for (auto &[name, amounts] : orders) result[name] = accumulate(amounts.begin(), amounts.end(), 0LL) * times;
    long long total = 0;
    for (auto &n : extra) total += n.value_or(0);
    result["extra"] = total * times;
    if (note) result[*note] = nullopt;
    return result;
}
""",
    "go": """
package main

import "fmt"

func tallyUp(orders map[string][]int, note *string, factor float64, doubled bool, extra []*int) map[string]*float64 {
	fmt.Println("counting")
	times := factor
	if doubled {
		times *= 2
	}
	result := map[string]*float64{}
	for name, amounts := range orders {
		total := 0
		for _, n := range amounts {
			total += n
		}
		value := float64(total) * times
		result[name] = &value
	}
	total := 0
	for _, n := range extra {
		if n != nil {
			total += *n
		}
	}
	value := float64(total) * times
	result["extra"] = &value
	if note != nil {
		result[*note] = nil
	}
	return result
}
""",
    "rust": """
fn tally_up(orders: HashMap<String, Vec<i64>>, note: Option<String>, factor: f64, doubled: bool,
            extra: Vec<Option<i64>>) -> HashMap<String, Option<f64>> {
    println!("counting");
    let times = factor * if doubled { 2.0 } else { 1.0 };
    let mut result: HashMap<String, Option<f64>> =
        orders.into_iter().map(|(name, amounts)| (name, Some(amounts.iter().sum::<i64>() as f64 * times))).collect();
    result.insert("extra".to_string(), Some(extra.iter().flatten().sum::<i64>() as f64 * times));
    if let Some(note) = note { result.insert(note, None); }
    result
}
""",
    "ruby": """
def tally_up(orders, note, factor, doubled, extra)
  puts "counting"
  times = factor * (doubled ? 2 : 1)
  result = orders.transform_values { |amounts| amounts.sum * times }
  result["extra"] = extra.compact.sum * times
  result[note] = nil unless note.nil?
  result
end
""",
}

# f(n): returns n, or fails in the way that is asked for. The same ways in every language.
FAIL = Signature(name="fail_at", params=(Parameter(name="n", type="int"),), returns="int")
FAIL_CASES = [Case(arguments=(n,), expected=n, hidden=False) for n in (1, 2)]

Way = str
FAILING: dict[LanguageName, dict[Way, str]] = {
    "python": {
        "wrong": "def fail_at(n): return 0", "unreadable": "def fail_at(n:", "raises": "def fail_at(n): raise ValueError('no')",
        "endless": "def fail_at(n):\n    print('at', n)\n    while True: pass", "ends": "import os\ndef fail_at(n): os._exit(0)",
        "eats": "def fail_at(n):\n    kept = []\n    while True: kept.append(bytearray(10**7))",
    },
    "javascript": {
        "wrong": "function failAt(n) { return 0 }", "unreadable": "function failAt(n {",
        "raises": "function failAt(n) { throw new Error('no') }",
        "endless": "function failAt(n) { console.log('at', n); for (;;); }",
        "ends": "function failAt(n) { process.exit(0) }",
        "eats": "function failAt(n) { const x = []; for (;;) x.push(new Array(1e6).fill(x.length + 0.5)); }",
    },
    "typescript": {
        "wrong": "function failAt(n: number): number { return 0 }", "unreadable": "function failAt(n: number {",
        "raises": "function failAt(n: number): number { throw new Error('no') }",
        "endless": "function failAt(n: number): number { console.log('at', n); for (;;); }",
    },
    "java": {
        "wrong": "class Solution { static long failAt(long n) { return 0; } }",
        "unreadable": "class Solution { static long failAt(long n) { return 0 } }",
        "raises": "class Solution { static long failAt(long n) { throw new IllegalStateException(\"no\"); } }",
        "endless": "class Solution { static long failAt(long n) { System.out.println(\"at \" + n); while (true); } }",
        "ends": "class Solution { static long failAt(long n) { Runtime.getRuntime().halt(0); return 0; } }",
    },
    "c": {
        "wrong": "long long fail_at(long long n) { return 0; }", "unreadable": "long long fail_at(long long n) { return 0 }",
        "raises": "long long fail_at(long long n) { return *(volatile int *)0; }",
        "endless": "#include <stdio.h>\nlong long fail_at(long long n) { printf(\"at %lld\\n\", n); for (;;) n++; }",
        "ends": "long long fail_at(long long n) { _Exit(0); }",
        "eats": "long long fail_at(long long n) { for (;;) { char *p = malloc(1 << 20); memset(p, 1, 1 << 20); } }",
    },
    "cpp": {
        "wrong": "long long fail_at(long long n) { return 0; }", "unreadable": "long long fail_at(long long n) { return 0 }",
        "raises": "#include <stdexcept>\nlong long fail_at(long long n) { throw runtime_error(\"no\"); }",
        "endless": "long long fail_at(long long n) { cout << \"at \" << n << endl; for (;;) n++; }",
        "ends": "long long fail_at(long long n) { _Exit(0); }",
    },
    "go": {
        "wrong": "package main\nfunc failAt(n int) int { return 0 }", "unreadable": "package main\nfunc failAt(n int) int { return x }",
        "raises": "package main\nfunc failAt(n int) int { panic(\"no\") }",
        "endless": "package main\nimport \"fmt\"\nfunc failAt(n int) int { fmt.Println(\"at\", n); for { n++ } }",
        "ends": "package main\nimport \"os\"\nfunc failAt(n int) int { os.Exit(0); return 0 }",
    },
    "rust": {
        "wrong": "fn fail_at(n: i64) -> i64 { 0 }", "unreadable": "fn fail_at(n: i64) -> i64 { x }",
        "raises": "fn fail_at(n: i64) -> i64 { panic!(\"no\") }",
        "endless": "fn fail_at(n: i64) -> i64 { println!(\"at {}\", n); loop {} }",
        "ends": "fn fail_at(n: i64) -> i64 { std::process::exit(0) }",
    },
    "ruby": {
        "wrong": "def fail_at(n) 0 end", "unreadable": "def fail_at(n", "raises": "def fail_at(n) raise 'no' end",
        "endless": "def fail_at(n) puts \"at #{n}\"; loop {} end", "ends": "def fail_at(n) exit!(0) end",
    },
}  # fmt: skip
VERDICTS = {"wrong": "failed", "unreadable": "compile_error", "raises": "error", "endless": "timeout", "ends": "error"}
