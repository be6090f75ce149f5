const assert = require("assert");
const fs = require("fs");
const { Module, stripTypeScriptTypes } = require("module");
const { Writable } = require("stream");
const util = require("util");
const vm = require("vm");
// Taken before the solution runs, which may use these names for its own.
const { performance, Buffer, JSON, Object, Array, Number, Math, String, Map, Set, Promise, Error, TypeError, ReferenceError, Symbol } = globalThis;
const job = JSON.parse(fs.readFileSync("job.json", "utf8"));
const source = fs.readFileSync("solution.js", "utf8");
const MOST = 4000;
const TOLD_AT_ONCE = 40;
const exit = process.exit.bind(process);
const moment = new Int32Array(new SharedArrayBuffer(4));
const pause = Atomics.wait.bind(Atomics, moment, 0, 0, 1);
const say = (message) => {  // whole, though Node does not wait for a pipe that is full
  const bytes = Buffer.from("\n" + job.nonce + JSON.stringify(message) + "\n");
  for (let at = 0; at < bytes.length;) {
    try { at += fs.writeSync(1, bytes, at); } catch (error) { if (error.code !== "EAGAIN") throw error; pause(); }
  }
};
let printed = "";
let told = 0;
const print = (text) => {
  if (printed.length < MOST) {
    printed += text;
    told += 1;
    if (told <= TOLD_AT_ONCE) say({ printed: text.slice(0, MOST) });  // it may never come back from an endless loop
  }
  return true;
};
const failure = (error) => {
  const trace = String(error && error.stack || "").split("\n")
    .map((line) => line.match(/(?:at )?(?:(\S+) \()?solution\.js:(\d+)/)).filter(Boolean).slice(0, 5)
    .map((m) => `line ${m[2]}${m[1] ? " in " + m[1] : ""}: ${(source.split("\n")[m[2] - 1] || "").trim()}`);
  const typed = String(error && error.stack || "").match(/^:(\d+)\n/);  // a syntax error where types are taken out
  if (typed) trace.push(`line ${typed[1]}: ${(source.split("\n")[typed[1] - 1] || "").trim()}`);
  const named = error && error.name && error.message !== undefined;
  const said = named ? error.message : util.inspect(error);
  return { type: named ? error.name : "Thrown", message: String(said).slice(0, 500), trace: [...new Set(trace)] };
};
const hint = (value) => {
  if (value instanceof Promise) return "a result of type Promise cannot be compared; the function must not be async";
  if (value instanceof Set) return "a result of type Set cannot be compared; return [...it]";
  if (typeof value === "bigint") return "a result of type bigint cannot be compared; return Number(it)";
  const kind = typeof value === "object" ? value.constructor?.name || "iterator" : typeof value;
  const isIterable = typeof value === "object" && typeof value[Symbol.iterator] === "function";
  return `a result of type ${kind} cannot be compared${isIterable ? "; return [...it]" : ""}`;
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
  throw new TypeError(value === undefined ? "the function returned nothing" : hint(value));
};
const toPrinted = new Writable({ write(chunk, _encoding, done) { print(String(chunk)); done(); } });
globalThis.console = new console.Console({ stdout: toPrinted, stderr: toPrinted });
process.stdout.write = process.stderr.write = (chunk) => print(String(chunk));
class Left extends Error {}
process.exit = () => { throw new Left("the code called process.exit; leave that out"); };
// What people's own files have: they export the function, and import what a test needs.
const module_ = { exports: {} };
const OFFERED = { assert, "assert/strict": assert.strict, util };
globalThis.module = module_;
globalThis.exports = module_.exports;
globalThis.assert = assert;
globalThis.require = (name) => {
  const found = OFFERED[String(name).replace(/^node:/, "")];
  if (!found) throw new Error(`there is no module ${name} here; there are assert and util`);
  return found;
};
globalThis.require.main = null;
const blank = (text) => text.replace(/[^\n]/g, " ");
const withoutExports = (text) => text
  .replace(/^export\s+(?:default\s+)?(?=(?:async\s+)?function\b|class\b|const\b|let\b|var\b)/gm, blank)
  .replace(/^export\s*\{[^}]*\};?/gm, blank);
const withoutTypes = (text) => {
  try {
    return stripTypeScriptTypes(text);  // leaves their places blank: lines keep their numbers
  } catch (error) {
    if (!/not supported in strip-only mode/.test(String(error && error.message))) throw error;
    return stripTypeScriptTypes(text, { mode: "transform" });
  }
};
const missing = (name) => {
  const written = [...source.matchAll(/\b(?:function|class)\s+(\w+)|\b(?:const|let|var)\s+(\w+)\s*=\s*(?:async\s*)?(?:function|\()/g)];
  const names = [...new Set(written.map((m) => m[1] || m[2]))].slice(0, 8);
  return `there is no function named ${name}${names.length ? `; there is ${names.join(", ")}` : ""}`;
};
let solution;
try {
  const plainSource = withoutExports(job.typed ? withoutTypes(source) : source);
  try {
    vm.runInThisContext(plainSource, { filename: "solution.js" });
  } catch (error) {
    if (!(error instanceof Left)) throw error;  // a main program of one's own below the function
  }
  const exported = module_.exports;
  solution = vm.runInThisContext(`typeof ${job.function} === "function" ? ${job.function} : undefined`)
    || (typeof exported === "function" ? exported : exported?.[job.function]);
  if (typeof solution !== "function") throw new ReferenceError(missing(job.function));
} catch (error) {
  say({ load: failure(error), stdout: printed });
  exit(0);
}
job.inputs.forEach((args, index) => {
  if (index) printed = "";
  told = 0;
  const started = performance.now();
  let answer = { case: index };
  say({ begin: index });
  try {
    const value = solution(...args);
    answer.value = plain(value === undefined && job.optional ? null : value);
  } catch (error) {
    answer.error = failure(error);
  }
  answer.ms = Math.round((performance.now() - started) * 100) / 100;
  answer.stdout = printed.slice(0, MOST);
  say(answer);
});
exit(0);  // whatever timers are left
