// A page of the dashboard that is watched: an error in the console, something the policy forbids, or a serious
// hindrance for people with disabilities fails the test.

import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as runner from "node:test";

import { chromium } from "playwright-core";

const AXE = readFileSync(new URL("node_modules/axe-core/axe.min.js", import.meta.url), "utf8");
const SHOTS = process.env.PORTCULLIS_SHOTS ?? new URL("../../target/dashboard", import.meta.url).pathname;
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";

mkdirSync(SHOTS, { recursive: true });

/** A test, which fails if it does not end: much of what a browser is asked for has no bound of its own. */
export function test(name, walk) {
  return runner.test(name, { timeout: 120_000 }, walk);
}

export function launch(options = []) {
  if (!existsSync(CHROMIUM)) throw new Error(`no ${CHROMIUM}: install the Debian package chromium`);
  // Some machines have a small /dev/shm; the sandbox needs what containers often lack.
  return chromium.launch({ executablePath: CHROMIUM, args: ["--disable-dev-shm-usage", "--no-sandbox", ...options] });
}

/** A browser of its own, as wide and as bright as asked. */
export async function open(browser, gate, { width = 1280, height = 900, theme = "light" } = {}) {
  const context = await browser.newContext({
    baseURL: gate.admin,
    viewport: { width, height },
    colorScheme: theme,
    permissions: ["clipboard-read", "clipboard-write"],
  });
  context.setDefaultTimeout(10_000);
  const page = await context.newPage();
  const faults = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) faults.push(`${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => faults.push(`uncaught: ${error}`));
  page.on("requestfailed", (request) => {
    const why = request.failure()?.errorText;
    if (why !== "net::ERR_ABORTED") faults.push(`${request.url()}: ${why}`);
  });
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
    });
  });
  return new Watched(context, page, faults, gate);
}

class Watched {
  constructor(context, page, faults, gate) {
    this.context = context;
    this.page = page;
    this.faults = faults;
    this.gate = gate;
  }

  async signIn(token = this.gate.token) {
    await this.page.goto("/");
    await this.page.getByLabel("Admin token").fill(token);
    await this.page.getByRole("button", { name: "Sign in" }).click();
    await this.page.getByRole("navigation", { name: "Main" }).waitFor();
  }

  /** Opens a page and waits until it shows what it is to show. */
  async goto(path, heading) {
    await this.page.goto(path);
    await this.page.getByRole("heading", { level: 1, name: heading }).waitFor();
    await this.settled();
  }

  async settled() {
    await this.page.locator(".loading").first().waitFor({ state: "hidden" });
  }

  /** Nothing may be in the way of anyone, nothing wider than the screen. */
  async isSound(name) {
    await this.settled();
    const session = await this.context.newCDPSession(this.page);
    const { frameTree } = await session.send("Page.getFrameTree");
    const world = await session.send("Page.createIsolatedWorld", { frameId: frameTree.frame.id });
    const run = (expression) =>
      session.send("Runtime.evaluate", {
        expression,
        contextId: world.executionContextId,
        awaitPromise: true,
        returnByValue: true,
      });
    await run(AXE);
    const { result } = await run(`axe.run(document, { resultTypes: ["violations"] }).then((found) =>
      found.violations
        .filter((each) => ["serious", "critical"].includes(each.impact))
        .map((each) => each.id + ": " + each.nodes.map((node) => node.html).slice(0, 3).join(" ")))`);
    await session.detach();
    assert.deepEqual(result.value, [], `${name}: accessibility`);
    const wider = await this.page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(wider <= 0, `${name} is ${wider} px wider than the screen`);
  }

  async shot(name, { fullPage = true } = {}) {
    await this.page.screenshot({ path: join(SHOTS, `${name}.png`), fullPage, animations: "disabled" });
  }

  /** Ends it; nothing may have gone wrong meanwhile. */
  async close() {
    await this.context.close();
    assert.deepEqual(this.faults, []);
  }
}
