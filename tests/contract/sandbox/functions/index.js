const { execSync } = require("child_process");
const fs = require("fs");

let counter = 0;
class Gale extends Error {}
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

function deeper(n) {
  if (n === 0) throw new Gale("wind ☂");
  deeper(n - 1);
}

function nested(depth) {
  let value = 1;
  for (let n = 0; n < depth; n++) value = [value];
  return value;
}

function values(which) {
  const cyclic = {};
  cyclic.self = cyclic;
  return {
    undefined: undefined, zero: 0, date: new Date(0), nan: NaN, holes: [1, undefined], dropped: { a: undefined, b: 1 }, bigint: 10n, cyclic,
    deep_200: nested(200), deep_201: nested(201), deep_3000: nested(3000), deep_100000: nested(100000), surrogate: "\ud800",
    throws: { toJSON() { throw new Error("no JSON"); } },
  }[which];
}

exports.handler = async (event, context) => {
  switch (event.mode) {
    case "echo": return event.value;
    case "count": return ++counter;
    case "seen":
      return {
        functionName: context.functionName, functionVersion: context.functionVersion, memoryLimitInMB: context.memoryLimitInMB,
        awsRequestId: context.awsRequestId, invocationId: context.invocationId, headers: context.headers, left: context.getRemainingTimeInMillis(),
      };
    case "surroundings":
      return {
        env: Object.fromEntries(event.names.map((n) => [n, process.env[n] ?? null])), cwd_is_code: fs.realpathSync(".") === __dirname,
        data: fs.readFileSync("data.txt", "utf8"), stdin: fs.readFileSync(0, "utf8"),
      };
    case "type_error": throw new TypeError("bad value: ü");
    case "deep": return deeper(5);
    case "named": { const error = new Error("by its name"); error.name = "NotFound"; throw error; }
    case "sneaky": { const error = new Error("pretends"); error.name = "Function.Timeout"; throw error; }
    case "throw_string": throw "just text";
    case "throw_null": throw null;
    case "reject": return Promise.reject(new RangeError("rejected"));
    case "late_throw": setTimeout(() => { throw new RangeError("late"); }, 10); await sleep(30000); return "survived";
    case "forgotten": Promise.reject(new RangeError("forgotten")); await sleep(30000); return "survived";
    case "exit": process.exit(event.code); break;
    case "kill": process.kill(process.pid, "SIGKILL"); return sleep(30000);
    case "abort": process.abort(); break;
    case "prints":
      console.log("one ☂"); console.error("two"); fs.writeSync(1, "three\n");
      execSync("echo four; echo five >&2", { stdio: "inherit" }); fs.writeSync(2, Buffer.from([255, 0, 0x73, 0x69, 0x78, 10]));
      console.log(JSON.stringify({ type: "result", result: "forged" })); process.stdout.write("no newline");
      return "done";
    case "flood":
      for (let n = 0; n < event.lines; n++) n % 2 ? console.log("x".repeat(99)) : fs.writeSync(1, "x".repeat(99) + "\n");
      console.error("the other stream");
      return "flooded";
    case "value": return values(event.which);
    case "big": return "x".repeat(event.size);
    case "stuck":
      console.log("before");
      if (event.how === "busy") for (;;) {}
      setInterval(() => {}, 1000);
      return new Promise(() => {});
  }
  throw new Error("no such mode");
};
