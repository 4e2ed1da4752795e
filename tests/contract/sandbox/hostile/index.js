// Written as a hostile function would be.
const { execFileSync, spawn, spawnSync } = require("child_process");
const fs = require("fs");
const net = require("net");
const { Worker } = require("worker_threads");

const planted = [];
const leaked = [];
let counter = 0;
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const EATS = "const kept = []; for (;;) kept.push(Buffer.alloc(1 << 20, 7));";

function tried(work) {
  try {
    work();
  } catch (error) {
    return error.code ?? error.message;
  }
  return "done";
}

function ran(program, ...args) {
  const done = spawnSync(program, args, { encoding: "utf8" });
  return done.status === 0 ? "done" : "refused";
}

function untilRefused(work) {
  for (let count = 0; ; count++) {
    try {
      work(count);
    } catch (error) {
      return [error.code, count > 0];
    }
  }
}

const connected = (options) => new Promise((done) => {
  const connection = net.connect(options, () => { done("done"); connection.destroy(); });
  connection.on("error", (error) => done(error.code));
});

function spinsForEver() {
  for (;;) {}
}

const modes = {
  ok: () => ++counter,
  plant: () => { planted.push("planted"); globalThis.planted = true; Object.prototype.planted = 1; delete Object.prototype.planted; return planted; },

  busy: spinsForEver,
  sleeps: () => sleep(600000),
  deaf: () => { for (const name of ["SIGTERM", "SIGINT", "SIGHUP"]) process.on(name, () => {}); return sleep(600000); },
  deadlock: () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0),
  regex: () => /^(a+)+$/.test("a".repeat(60) + "b"),
  blocked_loop: async () => { await null; spinsForEver(); },

  fork_bomb: () => { for (;;) tried(() => spawn(process.execPath, ["-e", "for(;;) require('child_process').spawn(process.execPath, ['-e', 'for(;;);'])"])); },
  forks_to_the_limit: async () => {
    for (let count = 0; count < 1000; count++) {
      const child = spawn("sleep", ["600"], { stdio: "ignore" });
      const code = await new Promise((done) => { child.on("spawn", () => done(null)); child.on("error", (error) => done(error.code)); });
      if (code) return [code, count > 0];
    }
    return ["never", true];
  },
  thread_bomb: async () => {
    for (;;) {
      const worker = new Worker("setInterval(() => {}, 1000)", { eval: true });
      await new Promise((done, failed) => { worker.on("online", done); worker.on("error", failed); });
    }
  },
  daemon: () => { spawn("sleep", ["600"], { detached: true, stdio: "ignore" }).unref(); return "answered"; },

  eats: () => { const kept = []; for (;;) kept.push(Buffer.alloc(1 << 20, 7)); },
  leaks: () => leaked.push(Buffer.alloc(40 << 20, 7)),
  child_eats: () => spawnSync(process.execPath, ["-e", EATS]).signal,
  child_eats_and_it_fails: () => execFileSync(process.execPath, ["-e", EATS], { stdio: "ignore" }),
  fills: ({ place }) => { const file = fs.openSync(place + "/full", "w"); const block = Buffer.alloc(1 << 20); return untilRefused(() => fs.writeSync(file, block)); },
  inodes: () => untilRefused((n) => fs.closeSync(fs.openSync(`/tmp/file-${n}`, "w"))),
  opens: () => untilRefused(() => fs.openSync("/dev/null", "r")),
  sparse: () => { fs.closeSync(fs.openSync("/tmp/sparse", "w")); fs.truncateSync("/tmp/sparse", 2 ** 42); return fs.statSync("/tmp/sparse").blocks; },

  floods: () => {
    const line = Buffer.from("\x1b[31m\0x".repeat(8192));
    for (let n = 0; n < 256; n++) { fs.writeSync(1, line); fs.writeSync(2, line); }
    return "flooded";
  },
  long_line: () => {
    const block = Buffer.alloc(1 << 20, "x");
    for (let n = 0; n < 1024; n++) for (let at = 0; at < block.length; ) at += fs.writeSync(1, block, at);
    return "printed";
  },
  forges: ({ id }) => {
    const body = Buffer.from(JSON.stringify({ type: "result", id, result: "forged" }));
    const head = Buffer.alloc(4);
    head.writeUInt32BE(body.length);
    for (let descriptor = 0; descriptor < 300; descriptor++) tried(() => fs.writeSync(descriptor, Buffer.concat([head, body])));
    return sleep(600000);
  },
  returns: ({ what }) => {
    const cyclic = {};
    cyclic.self = cyclic;
    let deep = [];
    for (let n = 0; n < 900; n++) deep = [deep];
    return { huge: "x".repeat(7 << 20), cyclic, nan: NaN, deep, nul: "a\0b" }[what];
  },

  exits: ({ code }) => process.exit(code),
  aborts: () => process.abort(),
  crashes: () => { process.kill(process.pid, "SIGSEGV"); return sleep(600000); },
  kills_init: async ({ signal, seconds }) => { process.kill(1, signal); await sleep((seconds ?? 0) * 1000); return "lives"; },
  closes: () => { for (const n of [0, 1, 2]) fs.closeSync(n); return "closed"; },
  computes_on: () => { new Worker("for (;;) {}", { eval: true }).unref(); return "answered"; },
  crashes_late: async ({ seconds }) => { await sleep(seconds * 1000); process.exit(7); },

  searches: ({ marks }) => {
    const found = [];
    const places = fs.readdirSync("/proc").filter((pid) => /^\d+$/.test(pid)).flatMap((pid) => ["environ", "cmdline", "mountinfo"].map((name) => `/proc/${pid}/${name}`));
    const walk = (folder) => {
      let entries = [];
      try { entries = fs.readdirSync(folder, { withFileTypes: true }); } catch { return; }
      for (const entry of entries) {
        const place = `${folder}/${entry.name}`;
        if (entry.isDirectory()) walk(place);
        else if (entry.isFile() && fs.statSync(place).size < 1 << 20) places.push(place);
      }
    };
    for (const top of ["/faas", "/etc", "/run", "/tmp", "/home", "/root", "/var", "/opt", "/dev/shm", "/mnt", "/srv"]) walk(top);
    for (const place of places) {
      let content;
      try { content = fs.readFileSync(place); } catch { continue; }
      for (const mark of marks) if (content.includes(mark)) found.push([place, mark]);
    }
    return { found, looked: places.length };
  },
  overwrites: ({ agent: name }) => {
    const code = fs.realpathSync("index.js");
    const agent = `/opt/faas/${name}`;
    return {
      code: tried(() => fs.writeFileSync(code, "x")), unlink: tried(() => fs.unlinkSync(code)), chmod: tried(() => fs.chmodSync(code, 0o777)),
      beside: tried(() => fs.writeFileSync("/faas/code/new.js", "x")), agent: tried(() => fs.writeFileSync(agent, "x")),
      "agent's folder": tried(() => fs.writeFileSync("/opt/faas/x", "x")), rename: tried(() => fs.renameSync(agent, "/tmp/agent")),
      owners: [...new Set([code, agent, "/faas", "/faas/code"].map((path) => fs.statSync(path).uid === process.getuid()))],
    };
  },
  links: async () => ({
    link: tried(() => fs.symlinkSync("/etc/passwd", "/faas/link")), "link in the code": tried(() => fs.symlinkSync("/etc/passwd", "/faas/code/link")),
    "fake socket": await new Promise((done) => { const server = net.createServer(); server.on("error", (error) => done(error.code)); server.listen("/faas/agent.sock", () => done("done")); }),
    "real socket": await connected({ path: "/faas/agent.sock" }), docker: await connected({ path: "/var/run/docker.sock" }), fifo: tried(() => fs.unlinkSync("/faas/stdout")),
  }),
  kernel: () => ({
    mount: ran("mount", "-t", "tmpfs", "none", "/tmp"), "unshare user": ran("unshare", "--user", "true"), "unshare mount": ran("unshare", "--mount", "true"),
    chroot: ran("chroot", "/", "true"), setuid: tried(() => process.setuid(0)), setgid: tried(() => process.setgid(0)),
    sysctl: tried(() => fs.writeFileSync("/proc/sys/kernel/hostname", "x")), sysrq: tried(() => fs.writeFileSync("/proc/sysrq-trigger", "x")),
    "core pattern": tried(() => fs.writeFileSync("/proc/sys/kernel/core_pattern", "x")), memory: tried(() => fs.openSync("/dev/mem", "r")),
    device: ran("mknod", "/tmp/device", "b", "8", "0"), "own program": tried(() => fs.openSync("/proc/self/exe", "r+")),
  }),
};

exports.handler = async (event, context) => modes[event.mode]({ ...event, id: context.invocationId });
