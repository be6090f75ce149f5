const fs = require("fs");
const vm = require("vm");
const job = JSON.parse(fs.readFileSync("job.json", "utf8"));
const source = fs.readFileSync("solution.js", "utf8");
const MOST = 4000;
const say = (message) => fs.writeSync(1, job.nonce + JSON.stringify(message) + "\n");
let printed = "";
const print = (...parts) => {
  const text = parts.map((p) => (typeof p === "string" ? p : JSON.stringify(p) ?? String(p))).join(" ") + "\n";
  if (printed.length < MOST) printed += text;
};
const failure = (error) => {
  const trace = String(error && error.stack || "").split("\n")
    .map((line) => line.match(/(?:at )?(?:(\S+) \()?solution\.js:(\d+)/)).filter(Boolean).slice(0, 5)
    .map((m) => `line ${m[2]}${m[1] ? " in " + m[1] : ""}: ${(source.split("\n")[m[2] - 1] || "").trim()}`);
  const named = error && error.name && error.message !== undefined;
  return { type: named ? error.name : "Thrown", message: String(named ? error.message : error).slice(0, 500), trace };
};
const plain = (value) => {
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number") {
    if (!Number.isFinite(value)) throw new TypeError(`a result of ${value} cannot be compared`);
    return value;
  }
  if (Array.isArray(value)) return Array.from(value, plain);
  if (value instanceof Map) return Object.fromEntries([...value].map(([k, v]) => [String(k), plain(v)]));
  if (typeof value === "object") {
    const proto = Object.prototype.toString.call(value);
    if (proto === "[object Object]") return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, plain(v)]));
  }
  throw new TypeError(value === undefined ? "the function returned nothing"
    : `a result of type ${typeof value} cannot be compared`);
};
globalThis.console = { log: print, info: print, debug: print, warn: print, error: print };
let solution;
try {
  // Types are taken out and leave their places blank: lines keep their numbers.
  const plainSource = job.typed ? require("module").stripTypeScriptTypes(source) : source;
  vm.runInThisContext(plainSource, { filename: "solution.js" });
  solution = vm.runInThisContext(`typeof ${job.function} === "function" ? ${job.function} : undefined`);
  if (!solution) throw new ReferenceError(`there is no function named ${job.function}`);
} catch (error) {
  say({ load: failure(error), stdout: printed });
  process.exit(0);
}
job.inputs.forEach((args, index) => {
  printed = "";
  const started = performance.now();
  let answer = { case: index };
  say({ begin: index });
  try {
    answer.value = plain(solution(...args));
  } catch (error) {
    answer.error = failure(error);
  }
  answer.ms = Math.round((performance.now() - started) * 100) / 100;
  answer.stdout = printed.slice(0, MOST);
  say(answer);
});
