// A gate of its own for a test: the real binary over a store that lasts as long as the test. It is a file, unless
// PORTCULLIS_STORE says `redis`: then a real redis-server is started for it.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer as createApi } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const BINARY = process.env.PORTCULLIS_BIN ?? fileOf("../../target/debug/portcullis");

function fileOf(path) {
  return new URL(path, import.meta.url).pathname;
}

/** A port nobody listens on now. */
async function freePort() {
  const server = createServer();
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  const { port } = server.address();
  await new Promise((closed) => server.close(closed));
  return port;
}

/** What gates over one Redis share: a real redis-server, and an API behind them. */
export class Site {
  static async start() {
    const folder = await mkdtemp(join(tmpdir(), "portcullis-site-"));
    const port = await freePort();
    const settings = ["--port", `${port}`, "--bind", "127.0.0.1", "--dir", folder, "--save", "", "--appendonly", "yes"];
    const redis = spawn("redis-server", settings, { stdio: "ignore" });
    const api = createApi((request, reply) => request.resume().on("end", () => reply.end("ok")));
    await new Promise((listening) => api.listen(0, "127.0.0.1", listening));
    return new Site(folder, port, redis, api);
  }

  constructor(folder, port, redis, api) {
    this.folder = folder;
    this.port = port;
    this.redis = redis;
    this.api = api;
    this.gates = [];
  }

  /** Starts a gate of this name, configured as `quickstart` is but for its store. */
  async gate(name) {
    const folder = await mkdtemp(join(this.folder, "gate-"));
    const [port, adminPort] = [await freePort(), await freePort()];
    const file = join(folder, "portcullis.yaml");
    await writeFile(
      file,
      [
        `node: ${name}`,
        `listeners: [{ address: "127.0.0.1:${port}" }]`,
        `admin: { address: "127.0.0.1:${adminPort}" }`,
        `data_dir: "${join(folder, "data")}"`,
        `store: { redis: { urls: ["redis://127.0.0.1:${this.port}"] } }`,
        `upstreams: { echo: { endpoints: ["http://127.0.0.1:${this.api.address().port}"] } }`,
        "routes: [{ name: echo, match: { path_prefix: / }, upstream: echo }]",
        "access_log: { to: none }",
      ].join("\n"),
    );
    // The first one makes the token, and tells it alone.
    const gate = await Gate.run(["serve", "--config", file], folder, port, adminPort, this.gates[0]?.token);
    this.gates.push(gate);
    return gate;
  }

  async stop() {
    for (const gate of this.gates) await gate.stop();
    const gone = new Promise((then) => this.redis.once("exit", then));
    for (const signal of ["SIGCONT", "SIGTERM"]) this.redis.kill(signal);
    await gone;
    this.api.closeAllConnections();
    await new Promise((then) => this.api.close(then));
    await rm(this.folder, { recursive: true, force: true });
  }
}

export class Gate {
  /** Starts a gate in front of an echo, and waits until it takes traffic. */
  static async start() {
    if (process.env.PORTCULLIS_STORE === "redis") {
      const site = await Site.start();
      const gate = await site.gate("gate-1");
      gate.site = site;
      return gate;
    }
    const folder = await mkdtemp(join(tmpdir(), "portcullis-browser-"));
    const [port, adminPort] = [await freePort(), await freePort()];
    const words = ["quickstart", "--listen", `127.0.0.1:${port}`, "--admin-listen", `127.0.0.1:${adminPort}`];
    return Gate.run([...words, "--data-dir", join(folder, "data")], folder, port, adminPort);
  }

  /** Runs the binary with these words, until it takes traffic; `token`, unless it makes one and tells it. */
  static async run(words, folder, port, adminPort, token) {
    if (!existsSync(BINARY)) throw new Error(`no ${BINARY}: build it, or name another in PORTCULLIS_BIN`);
    const child = spawn(BINARY, words, { stdio: ["ignore", "pipe", "pipe"] });
    const gate = new Gate(child, folder, port, adminPort, token);
    await gate.#ready();
    return gate;
  }

  constructor(child, folder, port, adminPort, token) {
    this.child = child;
    this.folder = folder;
    this.token = token;
    this.clients = `http://127.0.0.1:${port}`;
    this.admin = `http://127.0.0.1:${adminPort}`;
    this.said = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (bytes) => (this.said += bytes));
    }
  }

  async #ready() {
    for (let tries = 0; tries < 600; tries += 1) {
      if (this.child.exitCode !== null) break;
      this.token ??= /admin token(?:, shown this once:)? (\S+)/.exec(this.said)?.[1];
      const isReady = await fetch(`${this.admin}/readyz`).then((reply) => reply.ok, () => false);
      if (this.token && isReady) return;
      await new Promise((then) => setTimeout(then, 50));
    }
    await this.stop();
    throw new Error(`the gate did not start:\n${this.said}`);
  }

  async stop() {
    if (this.child.exitCode === null) {
      const gone = new Promise((then) => this.child.once("exit", then));
      for (const signal of ["SIGCONT", "SIGTERM"]) this.child.kill(signal);
      await gone;
    }
    await rm(this.folder, { recursive: true, force: true });
    // What was started for it alone.
    const { site } = this;
    this.site = undefined;
    await site?.stop();
  }

  /** Calls the admin API; what is no success is a failure of the test. */
  async call(method, path, body) {
    const reply = await this.ask(method, path, body);
    if (!reply.ok) throw new Error(`${method} ${path}: ${reply.status} ${await reply.text()}`);
    return reply.json();
  }

  ask(method, path, body) {
    const headers = { Authorization: `Bearer ${this.token}` };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    return fetch(this.admin + path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  }

  /** What a client with this secret gets. */
  async send(secret, path = "/v1/orders", fields = {}) {
    const reply = await fetch(this.clients + path, { headers: secret ? { "X-API-Key": secret, ...fields } : fields });
    await reply.arrayBuffer();
    return reply.status;
  }

  /** Waits until the store has counted so many requests of a key: it is told of them once a second. */
  async hasCounted(key, requests) {
    for (let tries = 0; tries < 200; tries += 1) {
      const counted = await this.call("GET", `/admin/keys/${key}/usage`);
      if (counted.total.requests >= requests) return;
      await new Promise((then) => setTimeout(then, 50));
    }
    throw new Error(`${requests} requests were never counted`);
  }

  /** Makes a key and gives it with its secret. */
  key(name, owner, fields = {}) {
    return this.call("POST", "/admin/keys", { name, owner, ...fields });
  }
}
