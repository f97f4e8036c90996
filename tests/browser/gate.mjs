// A gate of its own for a test: the real binary over a store that lasts as long as the test.

import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
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

export class Gate {
  /** Starts a gate in front of an echo, and waits until it takes traffic. */
  static async start() {
    const folder = await mkdtemp(join(tmpdir(), "portcullis-browser-"));
    const [port, adminPort] = [await freePort(), await freePort()];
    const options = ["--listen", `127.0.0.1:${port}`, "--admin-listen", `127.0.0.1:${adminPort}`];
    const child = spawn(BINARY, ["quickstart", ...options, "--data-dir", join(folder, "data")], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    const gate = new Gate(child, folder, port, adminPort);
    await gate.#ready();
    return gate;
  }

  constructor(child, folder, port, adminPort) {
    this.child = child;
    this.folder = folder;
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
      const token = /admin token (\S+)/.exec(this.said)?.[1];
      const isReady = await fetch(`${this.admin}/readyz`).then((reply) => reply.ok, () => false);
      if (token && isReady) {
        this.token = token;
        return;
      }
      await new Promise((then) => setTimeout(then, 50));
    }
    await this.stop();
    throw new Error(`the gate did not start:\n${this.said}`);
  }

  async stop() {
    if (this.child.exitCode === null) {
      const gone = new Promise((then) => this.child.once("exit", then));
      this.child.kill("SIGTERM");
      await gone;
    }
    await rm(this.folder, { recursive: true, force: true });
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
  async send(secret, path = "/v1/orders") {
    const reply = await fetch(this.clients + path, { headers: secret ? { "X-API-Key": secret } : {} });
    await reply.arrayBuffer();
    return reply.status;
  }

  /** Makes a key and gives it with its secret. */
  key(name, owner, fields = {}) {
    return this.call("POST", "/admin/keys", { name, owner, ...fields });
  }
}
