"use strict";
// The agent of the Node.js runtime: runs one function's calls, one after another, for the host that it is connected to.
//
// Usage: node agent.js EXCHANGE
//
// EXCHANGE is a folder with the socket `agent.sock`, the FIFOs `stdout` and `stderr`, and the folder `code`. The frames are described in
// faas/sandbox/protocol.py. No packages, Node.js 20 or newer. It ends when the host closes the connection.

const fs = require("node:fs");
const { createRequire } = require("node:module");
const net = require("node:net");
const path = require("node:path");
const { Writable } = require("node:stream");
const { pathToFileURL } = require("node:url");

const RESULT_BYTES = 6 * 1024 * 1024;
const MESSAGE_CHARACTERS = 8 * 1024;
const STACK_FRAMES = 50;

// Taken before a function can replace them.
const { parse, stringify } = JSON;
const exit = process.reallyExit.bind(process);

let host = null; // the connection
let code = null; // the folder of the code
let running = null; // the call that runs
const about = {}; // what the first frame said of the function

// ---- frames

function send(text) {
  const body = Buffer.from(text);
  const head = Buffer.alloc(4);
  head.writeUInt32BE(body.length);
  host.write(Buffer.concat([head, body]));
}

function frameReader(handle) {
  let chunks = [];
  let size = 0;
  return (chunk) => {
    chunks.push(chunk);
    size += chunk.length;
    if (size < 4) return;
    if (chunks[0].length < 4) chunks = [Buffer.concat(chunks)];
    if (size < 4 + chunks[0].readUInt32BE(0)) return;
    const frame = Buffer.concat(chunks);
    chunks = [];
    size = 0;
    handle(parse(frame.toString("utf8", 4)));
  };
}

// ---- streams

function attachStreams() {
  // Node.js has no dup2: the lowest free descriptor is the one that was just closed.
  for (const [number, name, mode] of [[0, "/dev/null", "r"], [1, "stdout", "w"], [2, "stderr", "w"]]) {
    fs.closeSync(number);
    if (fs.openSync(name, mode) !== number) throw new Error(`descriptor ${number} can't be replaced`);
  }
  for (const [name, number] of [["stdout", 1], ["stderr", 2]]) {
    Object.defineProperty(process, name, { configurable: true, enumerable: true, writable: true, value: blockingStream(number) });
  }
}

// Node.js's own stream makes the pipe non-blocking and queues what does not fit: lost when the process exits, and an error in `fs.writeSync`.
function blockingStream(number) {
  const stream = new Writable({
    decodeStrings: true,
    write(chunk, _encoding, done) {
      try {
        for (let at = 0; at < chunk.length; ) at += fs.writeSync(number, chunk, at);
        done();
      } catch (error) {
        done(error);
      }
    },
  });
  stream.on("error", () => {}); // the function closed the descriptor: what it prints is lost, and no more than that
  stream.fd = number;
  return stream;
}

// ---- what errors look like

function describe(thrown) {
  if (thrown === null || typeof thrown !== "object" || typeof thrown.message !== "string") {
    return { kind: "exception", class: "Error", message: textOf(thrown), stack_trace: [] };
  }
  return { kind: "exception", class: classOf(thrown), message: thrown.message.slice(0, MESSAGE_CHARACTERS), stack_trace: traceOf(thrown) };
}

function classOf(error) {
  try {
    const made = error.constructor && error.constructor.name;
    // `error.name = "NotFound"` on a plain Error is the other way to name a kind of error.
    return (made === "Error" || made === "Object" || !made) && typeof error.name === "string" ? error.name : made;
  } catch {
    return "Error";
  }
}

function textOf(value) {
  try {
    return String(value).slice(0, MESSAGE_CHARACTERS);
  } catch {
    return "a value that has no text";
  }
}

// The function's own part of the stack, outermost call first; files of the code by their path in it.
function traceOf(error) {
  try {
    const short = (line) => line.replaceAll(pathToFileURL(code).href + "/", "").replaceAll(code + "/", "").replace(/^ +at /, "at ");
    const lines = String(error.stack).split("\n").filter((line) => !line.includes(__filename) && !line.includes("(node:") && !line.includes("node:internal"));
    const isCall = (line) => /^ +at /.test(line);
    const calls = lines.filter(isCall).map(short).reverse();
    // A syntax error has its place before the message.
    return error instanceof SyntaxError ? [...lines.filter((line) => !isCall(line)).map(short), ...calls] : calls;
  } catch {
    return [];
  }
}

// ---- loading

async function load(handler) {
  const dot = handler.lastIndexOf(".");
  const [module, name] = [handler.slice(0, dot), handler.slice(dot + 1)];
  const file = find(module);
  const exported = isEsModule(file) ? await import(pathToFileURL(file).href) : createRequire(code + "/")(file);
  const found = exported?.[name] ?? exported?.default?.[name];
  if (found === undefined) throw new Error(`the module "${module}" has no handler "${name}"`);
  if (typeof found !== "function") throw new TypeError(`the handler "${name}" of the module "${module}" is not a function`);
  return found;
}

function find(module) {
  for (const base of [module.replaceAll(".", "/"), module]) {
    for (const end of [".js", ".mjs", ".cjs", "/index.js", "/index.mjs", "/index.cjs"]) {
      const file = path.join(code, base + end);
      if (fs.existsSync(file)) return file;
    }
  }
  throw new Error(`Cannot find module "${module}"`);
}

function isEsModule(file) {
  if (!file.endsWith(".js")) return file.endsWith(".mjs");
  for (let folder = path.dirname(file); folder.startsWith(code); folder = path.dirname(folder)) {
    const manifest = path.join(folder, "package.json");
    if (fs.existsSync(manifest)) return parse(fs.readFileSync(manifest, "utf8")).type === "module";
  }
  return false;
}

// ---- calls

class Running {
  constructor(call) {
    this.id = call.id;
    this.waitsForLoop = false;
  }

  succeed(value) {
    if (running !== this) return;
    let text;
    try {
      text = stringify(value) ?? "null";
    } catch (error) {
      this.answer({ kind: "invalid_result", message: textOf(error?.message) });
      return;
    }
    if (Buffer.byteLength(text) > RESULT_BYTES) this.answer({ kind: "too_large" });
    else this.end(`{"type":"result","id":${stringify(this.id)},"result":${text}}`);
  }

  fail(error) {
    if (running === this) this.answer(describe(error));
  }

  answer(fields) {
    this.end(stringify({ type: "error", id: this.id, ...fields }));
  }

  end(text) {
    running = null;
    host.ref();
    send(text);
  }
}

function contextOf(call, mine) {
  const deadline = performance.now() + call.deadline_ms - Date.now();
  return {
    functionName: about.function_name,
    functionVersion: about.function_version,
    memoryLimitInMB: about.memory_mb,
    awsRequestId: call.id,
    invocationId: call.id,
    headers: call.headers,
    callbackWaitsForEmptyEventLoop: true,
    getRemainingTimeInMillis: () => Math.max(0, Math.floor(deadline - performance.now())),
    done: (error, value) => (error ? mine.fail(error) : mine.succeed(value)),
    succeed: (value) => mine.succeed(value),
    fail: (error) => mine.fail(error),
  };
}

function run(handler, call) {
  const mine = (running = new Running(call));
  const context = contextOf(call, mine);
  try {
    const value = handler(call.payload, context, context.done);
    if (typeof value?.then === "function") value.then((result) => mine.succeed(result), (error) => mine.fail(error));
    else if (value !== undefined) mine.succeed(value);
    else if (running === mine) waitForLoop(mine);
  } catch (error) {
    mine.fail(error);
  }
}

// A handler that returned nothing answers by its callback; when nothing more can happen, it never will, and its result is null.
function waitForLoop(mine) {
  mine.waitsForLoop = true;
  host.unref();
}

process.on("beforeExit", () => {
  host.ref();
  if (running?.waitsForLoop) running.succeed(null);
});

function stray(error) {
  if (running) {
    running.fail(error);
    return;
  }
  // No call can be blamed, and nobody knows what is broken now.
  fs.writeSync(2, `${error?.stack ?? error}\n`);
  exit(1);
}

// ---- the life of the agent

async function start(init, ready) {
  Object.assign(about, init);
  Object.assign(process.env, init.environment);
  process.chdir("code");
  code = process.cwd();
  try {
    ready(await load(init.handler));
  } catch (error) {
    const failure = describe(error);
    send(stringify({ type: "init_error", ...failure, message: `${failure.class}: ${failure.message}` }));
    return;
  }
  send(stringify({ type: "ready" }));
}

function main() {
  Error.stackTraceLimit = STACK_FRAMES;
  process.chdir(process.argv[2]);
  attachStreams();
  let handler = null;
  host = net.connect("agent.sock", () => send(stringify({ type: "hello" })));
  host.on("data", frameReader((frame) => {
    if (handler) run(handler, frame);
    else start(frame, (loaded) => { handler = loaded; });
  }));
  host.on("close", () => exit(0));
  host.on("error", () => exit(0));
  process.on("uncaughtException", stray);
  process.on("unhandledRejection", stray);
}

main();
