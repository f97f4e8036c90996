// What the dashboard says of several gates over one Redis, while one of them, or the Redis, stands still.

import assert from "node:assert/strict";
import { after, before } from "node:test";

import { Site } from "./gate.mjs";
import { launch, open, test } from "./page.mjs";

let site;
let gates;
let browser;

before(async () => {
  site = await Site.start();
  gates = [await site.gate("gate-1"), await site.gate("gate-2")];
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await site?.stop();
});

async function until(what, isSo) {
  for (let tries = 0; tries < 400; tries += 1) {
    if (await isSo()) return;
    await new Promise((then) => setTimeout(then, 50));
  }
  throw new Error(`waited too long: ${what}`);
}

/** A key that both gates admit, while each sees the other. */
async function knownKey(name, owner = { name: "Billing", type: "team" }) {
  await until("each gate is seen", async () => {
    const { items } = await gates[0].call("GET", "/admin/nodes");
    return items.length === 2 && items.every((node) => node.state === "live");
  });
  const made = await gates[0].key(name, owner);
  await until("both gates know the key", async () => (await gates[1].send(made.secret)) === 200);
  assert.equal(await gates[0].send(made.secret), 200);
  return made;
}

const refuses = (gate, secret) => until("it is refused", async () => (await gate.send(secret)) === 401);

/** Revokes the key whose page is shown. */
async function revoke(page) {
  await page.getByRole("button", { name: "Revoke" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Revoke for ever" }).click();
}

test("S3-09: of a revocation that a gate may not have, the gate is told and when it stops by itself", async () => {
  const [shared, cut, owned] = [
    await knownKey("shared"),
    await knownKey("cut-off"),
    await knownKey("owned", { name: "Ann", type: "user" }),
  ];
  const watched = await open(browser, gates[0]);
  const { page } = watched;
  const dialog = page.getByRole("dialog");
  await watched.signIn();

  // Every gate has it: that is said, and there is nothing to be read.
  await watched.goto(`/keys/${shared.key.id}`, /^shared/);
  await revoke(page);
  await page.getByText("shared is revoked.").waitFor();
  assert.equal(await dialog.count(), 0);
  assert.deepEqual([await gates[0].send(shared.secret), await gates[1].send(shared.secret)], [401, 401]);

  // One stands still. The row goes away under the filter; what is told of it stays.
  await watched.goto("/keys?status=active&name=cut-off", "API Keys");
  gates[1].child.kill("SIGSTOP");
  await revoke(page);
  const told = page.getByRole("dialog", { name: "cut-off is revoked" });
  await told.waitFor();
  await told.getByText("Refused by gate-1.").waitFor();
  const pending = told.getByRole("list", { name: "Gates that may not have it" }).getByRole("listitem");
  assert.equal(await pending.count(), 1);
  const { items } = await gates[0].call("GET", "/admin/nodes");
  const { last_contact_at: heard } = items.find((node) => node.node === "gate-2");
  const stops = new Date(Date.parse(heard) + 24 * 3_600_000);
  const said = await page.evaluate(
    (at) => new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" }).format(at),
    stops.getTime(),
  );
  assert.match(await pending.innerText(), /^gate-2 until it is heard of again, at the latest until .* \(in 23 h 59 min\)/);
  assert.ok((await pending.innerText()).includes(said), `${await pending.innerText()}: ${said}`);
  await page.getByText("No key is like that.").waitFor();
  assert.ok(await told.isVisible());
  await watched.isSound("a revocation that a gate may not have");
  await watched.shot("revocation-pending", { fullPage: false });
  assert.equal(await gates[0].send(cut.secret), 401);
  await told.locator("footer").getByRole("button", { name: "Close" }).click();
  await told.waitFor({ state: "hidden" });

  // The same of an owner with all keys.
  await watched.goto("/owners", "Owners");
  await page.getByRole("row", { name: /Ann/ }).getByRole("button", { name: "Disable all keys" }).click();
  await dialog.getByLabel(/^Type .Ann. to confirm/).fill("Ann");
  await dialog.getByRole("button", { name: "Disable all keys" }).click();
  const off = page.getByRole("dialog", { name: "Ann is switched off" });
  await off.getByText("1 key revoked").waitFor();
  await off.getByRole("listitem").getByText("gate-2").waitFor();
  await watched.close();

  gates[1].child.kill("SIGCONT");
  await refuses(gates[1], cut.secret);
  await refuses(gates[1], owned.secret);
});

test("S3-09: of a revocation without the store, it is told where it is durable and that the others hear of it", async () => {
  const made = await knownKey("without-store");
  const watched = await open(browser, gates[0]);
  const { page } = watched;
  await watched.signIn();
  await watched.goto(`/keys/${made.key.id}`, /^without-store/);
  site.redis.kill("SIGSTOP");
  await revoke(page);
  const told = page.getByRole("dialog", { name: "without-store is revoked" });
  await told.waitFor({ timeout: 30_000 });
  await told.getByText("The store is away. This is durable on gate-1").waitFor();
  await told.getByRole("listitem").getByText("gate-2").waitFor();
  assert.equal(await gates[0].send(made.secret), 401);
  await watched.isSound("a revocation without the store");
  await watched.shot("revocation-away", { fullPage: false });
  // What the page asks for meanwhile has no answer.
  watched.faults.splice(0).forEach((fault) => assert.match(fault, /503/));
  await watched.close();

  site.redis.kill("SIGCONT");
  await refuses(gates[1], made.secret);
});
