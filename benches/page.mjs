// The driver behind benches/page.sh, which says what is measured and how to read it.

import { spawnSync } from "node:child_process";
import { mkdtemp, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { Gate } from "../tests/browser/gate.mjs";
import { launch, open } from "../tests/browser/page.mjs";

const KEYS = Number(process.argv[2] ?? 1_000_000);
const ROUNDS = 30;
const TOKEN = "a-token-for-measuring-0123456789abcdef";

const folder = await mkdtemp(join(tmpdir(), "portcullis-page-"));
const [port, adminPort] = await freePorts(2);
const store = join(folder, "store");
const seeded = spawnSync(process.env.SEED, [store, String(KEYS)], { stdio: ["ignore", "ignore", "inherit"] });
if (seeded.status !== 0) throw new Error(`${process.env.SEED} made no keys`);
const file = join(folder, "portcullis.yaml");
await writeFile(
  file,
  [
    `listeners: [{ address: "127.0.0.1:${port}" }]`,
    `admin: { address: "127.0.0.1:${adminPort}", token: ${TOKEN} }`,
    `data_dir: "${join(folder, "data")}"`,
    `store: { embedded: { path: "${store}" } }`,
    `upstreams: { api: { endpoints: ["http://127.0.0.1:9"] } }`,
    "routes: [{ name: api, match: { path_prefix: / }, upstream: api }]",
    "access_log: { to: none }",
  ].join("\n"),
);
const gate = await Gate.run(["serve", "--config", file], folder, port, adminPort, TOKEN);
const browser = await launch();
try {
  const shown = await open(browser, gate);
  const { page } = shown;
  // How long the page's one thread was held, and how far apart its frames came.
  await page.addInitScript(() => {
    window.held = [];
    new PerformanceObserver((list) => window.held.push(...list.getEntries().map((entry) => entry.duration))).observe({
      type: "longtask",
      buffered: true,
    });
    window.frames = [];
    let last = performance.now();
    const frame = (now) => {
      window.frames.push(now - last);
      last = now;
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  });
  await shown.signIn();
  await shown.goto("/keys", "API Keys");
  const isPage = (number) => page.getByText(new RegExp(`^Page ${number}, `)).waitFor();
  await isPage(1);

  console.log(`| with ${KEYS} keys | times | p50 ms | p99 | longest task | frames, p99 apart |`);
  console.log("|---|---|---|---|---|---|");
  const random = (() => {
    let state = 7;
    return (most) => (state = (state * 48_271) % 2_147_483_647) % most;
  })();
  const name = () => `key ${1 + random(KEYS)}`;
  const search = page.getByLabel("Search by name");
  const row = (of) => page.getByRole("link", { name: of, exact: true });

  await measure("open the list", async () => {
    await page.goto("/keys");
    await isPage(1);
  });
  await measure("the next page", async (round) => {
    await page.getByRole("button", { name: "Next" }).click();
    await isPage(round + 2);
  });
  await page.goto("/keys");
  await measure("search for one name", async () => {
    const wanted = name();
    await search.fill(wanted);
    await row(wanted).waitFor();
  });
  await search.fill("");
  await measure("open a key", async () => {
    const wanted = `key_${String(1 + random(KEYS)).padStart(10, "0")}`;
    await page.goto(`/keys/${wanted}`);
    await page.getByRole("heading", { level: 1 }).waitFor();
    await shown.settled();
  });
  await page.goto("/keys");
  await isPage(1);
  await measure("list to cards and back", async (round) => {
    const cards = round % 2 === 0;
    await page.getByRole("button", { name: cards ? "Detailed" : "List" }).click();
    await (cards ? page.getByRole("article") : page.getByRole("rowheader")).first().waitFor();
  });
  await page.getByRole("button", { name: "Detailed" }).click();
  await measure("scroll through fifty cards", async () => {
    for (const by of [2_000, 2_000, -4_000]) {
      await page.mouse.wheel(0, by);
      await page.evaluate(() => new Promise(requestAnimationFrame));
    }
  });

  async function measure(what, act) {
    const took = [];
    const [held, frames] = [[], []];
    for (let round = 0; round < ROUNDS; round += 1) {
      await page.evaluate(() => {
        window.held.length = 0;
        window.frames.length = 0;
      });
      const began = performance.now();
      await act(round);
      took.push(performance.now() - began);
      const seen = await page.evaluate(() => ({ held: window.held, frames: window.frames }));
      held.push(...seen.held);
      frames.push(...seen.frames);
    }
    const ms = (value) => value.toFixed(0);
    const longest = held.length > 0 ? `${ms(Math.max(...held))} ms` : "none of 50 ms";
    console.log(`| ${what} | ${ROUNDS} | ${ms(quantile(took, 0.5))} | ${ms(quantile(took, 0.99))} | ${longest} | ${ms(quantile(frames, 0.99))} ms |`);
  }
} finally {
  await browser.close();
  await gate.stop();
}

function quantile(values, share) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

async function freePorts(count) {
  const held = [];
  for (let at = 0; at < count; at += 1) {
    const server = createServer();
    await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
    held.push(server);
  }
  const ports = held.map((server) => server.address().port);
  await Promise.all(held.map((server) => new Promise((closed) => server.close(closed))));
  return ports;
}
