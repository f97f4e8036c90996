// Every flow of the dashboard, walked in a browser on the real gate; what it says is then looked at through the
// API and at the gate itself.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before } from "node:test";

import { Gate } from "./gate.mjs";
import { launch, open, test } from "./page.mjs";

let gate;
let browser;

before(async () => {
  gate = await Gate.start();
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await gate?.stop();
});

/** A browser that signed in, closed after `walk`. */
async function signedIn(walk, options) {
  const watched = await open(browser, gate, options);
  await watched.signIn();
  await walk(watched.page, watched);
  await watched.close();
}

const billing = { name: "Billing", type: "team" };

/** The whole secret of a dialog that shows one, acknowledged. */
async function takeSecret(page) {
  const dialog = page.getByRole("dialog");
  const secret = await dialog.getByLabel("Secret", { exact: true }).inputValue();
  const done = dialog.getByRole("button", { name: "Done" });
  assert.ok(await done.isDisabled(), "it can be closed before it is acknowledged");
  await page.keyboard.press("Escape");
  await page.keyboard.press("Escape");
  assert.ok(await dialog.isVisible(), "Escape closed it");
  await dialog.getByLabel("I have stored the secret").check();
  await done.click();
  await dialog.waitFor({ state: "hidden" });
  assert.ok(!(await page.content()).includes(secret), "the secret is still on the page");
  return secret;
}

test("S0-03: nothing is shown before a login, and a wrong token shows nothing either", async () => {
  const watched = await open(browser, gate);
  const { page } = watched;
  for (const path of ["/", "/keys", "/settings"]) {
    await page.goto(path);
    await page.getByLabel("Admin token").waitFor();
    assert.equal(await page.getByRole("navigation").count(), 0);
  }
  await page.getByLabel("Admin token").fill("wrong");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("This token is not known").waitFor();
  // The browser itself notes the 401 that was asked for.
  watched.faults.splice(0).forEach((fault) => assert.match(fault, /401/));
  await watched.close();
});

test("a session lasts over a reload, is out of reach of scripts, and ends by signing out", () =>
  signedIn(async (page, watched) => {
    await page.reload();
    await page.getByRole("navigation", { name: "Main" }).waitFor();
    const [cookie] = await watched.context.cookies();
    assert.equal(cookie.name, "__Host-portcullis");
    assert.ok(cookie.httpOnly && cookie.secure && cookie.sameSite === "Strict");
    assert.equal(await page.evaluate(() => document.cookie), "");
    const kept = await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }));
    assert.ok(!kept.includes("pct_"), kept);
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("Admin token").waitFor();
    await page.goto("/keys");
    await page.getByLabel("Admin token").waitFor();
  }));

test("S0-04, S0-05, S1-07, S4-09: Generate New API Key makes a key whose secret is shown once", () =>
  signedIn(async (page, watched) => {
    await page.getByRole("link", { name: "API Keys" }).click();
    await page.getByRole("button", { name: "Generate New API Key" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("button", { name: "A new owner" }).click();
    await dialog.getByLabel("Name of the owner").fill("Shop");
    await dialog.getByLabel("Name", { exact: true }).fill("shop-web");
    await dialog.getByLabel("Purpose").fill("the web shop");
    await dialog.getByRole("button", { name: "Add a limit" }).click();
    await dialog.getByLabel("Requests of limit 1").fill("50");
    await dialog.getByText("More: labels").click();
    await dialog.getByLabel("Labels").fill("team=shop, tier=gold");
    await watched.isSound("the new key");
    await dialog.getByRole("button", { name: "Generate" }).click();
    await page.getByText("only time the secret is shown").waitFor();
    await watched.isSound("the new secret");
    await dialog.getByRole("button", { name: "Copy line" }).click();
    await dialog.getByRole("button", { name: "Copied" }).waitFor();
    const line = await page.evaluate(() => navigator.clipboard.readText());
    const secret = await takeSecret(page);
    assert.equal(line, `export SHOP_WEB_API_KEY=${secret}`);

    assert.equal(await gate.send(secret), 200);
    const { items } = await gate.call("GET", "/admin/keys?name=shop-web");
    assert.deepEqual(items[0].labels, { team: "shop", tier: "gold" });
    assert.equal(items[0].rate_limits[0].rate, "50/second");
    assert.equal(items[0].description, "the web shop");

    // The owner's keys are templates for the next.
    await page.getByRole("button", { name: "Generate New API Key" }).click();
    await dialog.getByRole("searchbox", { name: "Find owner" }).fill("sho");
    await dialog.getByLabel("Owner", { exact: true }).selectOption({ label: "Shop (team)" });
    await dialog.getByLabel("Start from a key of this owner").selectOption("shop-web");
    assert.equal(await dialog.getByLabel("Requests of limit 1").inputValue(), "50");
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "hidden" });
  }));

test("what the gate refuses is said at the field, and nothing is made", () =>
  signedIn(async (page, watched) => {
    await watched.goto("/keys", "API Keys");
    await page.getByRole("button", { name: "Generate New API Key" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("button", { name: "A new owner" }).click();
    await dialog.getByLabel("Name of the owner").fill("Shop");
    await dialog.getByLabel("Name", { exact: true }).fill("bad-expiry");
    await dialog.getByLabel("Expires on").fill("2020-01-01");
    await dialog.getByRole("button", { name: "Generate" }).click();
    await dialog.locator(".field-error").first().waitFor();
    watched.faults.splice(0).forEach((fault) => assert.match(fault, /422/));
    const { items } = await gate.call("GET", "/admin/keys?name=bad-expiry");
    assert.equal(items.length, 0);
  }));

test("S1-01…06, S2-06, S2-07, S2-14, S2-16: a toggle switches list and cards; a card shows both versions", async () => {
  const made = await gate.key("nightly", billing);
  await gate.send(made.secret);
  const rotated = await gate.call("POST", `/admin/keys/${made.key.id}/rotate`, { grace: "3h", reason: "regular" });
  await gate.send(rotated.secret);
  await gate.hasCounted(made.key.id, 2);
  await signedIn(async (page, watched) => {
    await watched.goto("/keys", "API Keys");
    const row = page.getByRole("row", { name: /nightly/ });
    await row.getByText("active", { exact: true }).waitFor();
    await row.getByText(rotated.key.fingerprint).waitFor();
    await row.getByText(/just now|seconds? ago/).first().waitFor();
    await page.getByRole("button", { name: "Detailed" }).click();
    const card = page.getByRole("article", { name: "nightly" });
    await card.getByText(rotated.key.fingerprint).waitFor();
    await card.getByText(made.key.fingerprint).waitFor();
    await card.getByText(/ends in 2 h 59 min/).waitFor();
    await card.getByText(/^Last rotated/).waitFor();
    await card.getByText("rotating").waitFor();
    // The icon of rotation is the rightmost of the card.
    const rotate = await card.getByRole("button", { name: "Rotate" }).boundingBox();
    const edges = await card.getByRole("button").evaluateAll((all) => all.map((each) => each.getBoundingClientRect().right));
    assert.equal(rotate.x + rotate.width, Math.max(...edges));
    // The date of the last rotation is at the bottom right.
    const [box, date] = [await card.boundingBox(), await card.getByText(/^Last rotated/).boundingBox()];
    assert.ok(box.x + box.width - (date.x + date.width) < 30 && box.y + box.height - (date.y + date.height) < 30);
    await watched.isSound("the cards");
  });
});

test("S1-03, S1-04: the list is filtered by status and name, and paged by the gate", async () => {
  for (let number = 0; number < 55; number += 1) await gate.key(`many-${String(number).padStart(2, "0")}`, { name: "Many", type: "system" });
  await signedIn(async (page, watched) => {
    await watched.goto("/keys", "API Keys");
    await page.getByLabel("Search by name").fill("many-");
    await page.waitForURL(/name=many-/);
    await page.getByRole("rowheader", { name: "many-00" }).waitFor();
    await page.getByText("Page 1, 50 shown").waitFor();
    await page.getByRole("button", { name: "Next" }).click();
    await page.getByText("Page 2, 5 shown").waitFor();
    await page.getByRole("button", { name: "Previous" }).click();
    await page.getByText("Page 1, 50 shown").waitFor();
    await page.getByLabel("Status").selectOption("revoked");
    await page.getByText("No key is like that.").waitFor();
    await watched.isSound("no keys");
    await page.getByRole("button", { name: "Show all keys" }).click();
    await page.getByText(/^Page 1/).waitFor();
    assert.equal(new URL(page.url()).search, "");
  });
});

test("S2-01…05, S2-10…13: rotating asks for an acknowledgement, offers the delays, reviews, and confirms", async () => {
  const made = await gate.key("rotated", billing);
  const other = await gate.key("rotated-not", billing);
  await signedIn(async (page, watched) => {
    await watched.goto(`/keys/${made.key.id}`, /^rotated/);
    await page.getByRole("button", { name: "Rotate" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("cannot be undone").first().waitFor();
    const review = dialog.getByRole("button", { name: "Review" });
    assert.ok(await review.isDisabled());
    assert.ok(await dialog.getByLabel("24 hours (default)").isChecked());
    const offered = await dialog.getByRole("radio").evaluateAll((all) => all.map((each) => each.parentElement.innerText.trim()));
    assert.deepEqual(offered, ["Immediate", "1 hour", "3 hours", "24 hours (default)", "48 hours", "72 hours"]);
    await dialog.getByLabel("Immediate").check();
    await dialog.getByText(/^Caution:/).waitFor();
    await dialog.getByLabel("1 hour").check();
    assert.equal(await dialog.getByText(/^Caution:/).count(), 0);
    await dialog.getByLabel("I understand that this cannot be undone").check();
    await dialog.getByLabel("Reason").selectOption("other");
    assert.ok(await review.isDisabled(), "another reason has to be said");
    await dialog.getByLabel("Which reason").fill("new vault");
    await watched.isSound("rotating");
    await review.click();
    await dialog.getByText("works until").waitFor();
    await dialog.getByText("new vault").waitFor();
    assert.equal((await gate.call("GET", `/admin/keys/${made.key.id}`)).version, 1, "nothing is done before it is confirmed");
    await dialog.getByRole("button", { name: "Back" }).click();
    await review.click();
    await watched.isSound("the review");
    await dialog.getByRole("button", { name: "Confirm rotation" }).click();
    await page.getByText("only time the secret is shown").waitFor();
    const secret = await takeSecret(page);
    assert.equal(await gate.send(secret), 200);
    assert.equal(await gate.send(made.secret), 200, "the old one works for an hour");
    await page.getByRole("cell", { name: /^in \d+ min/ }).waitFor();
  });
  const { items } = await gate.call("GET", `/admin/audit-logs?type=key_rotation&key_id=${made.key.id}`);
  assert.deepEqual([items[0].reason, items[0].grace], ["new vault", "1h"]);
  assert.equal((await gate.call("GET", `/admin/keys/${other.key.id}`)).version, 1, "S2-08");
});

test("S2-15: an immediate rotation leaves only the new version", async () => {
  const made = await gate.key("at-once", billing);
  await signedIn(async (page, watched) => {
    await watched.goto("/keys?name=at-once", "API Keys");
    await page.getByRole("button", { name: "Detailed" }).click();
    await page.getByRole("article").getByRole("button", { name: "Rotate" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Immediate").check();
    await dialog.getByLabel("I understand").check();
    await dialog.getByRole("button", { name: "Review" }).click();
    await dialog.getByText("ends at once").waitFor();
    await dialog.getByRole("button", { name: "Confirm rotation" }).click();
    const secret = await takeSecret(page);
    assert.deepEqual([await gate.send(secret), await gate.send(made.secret)], [200, 401]);
    const card = page.getByRole("article", { name: "at-once" });
    await card.getByText("v2", { exact: true }).first().waitFor();
    assert.equal(await card.getByText(made.key.fingerprint).count(), 0);
  });
});

test("S4-11: revoking shows the traffic of the last five minutes and ends this key alone", async () => {
  const [made, other] = [await gate.key("leaked", billing), await gate.key("kept", billing)];
  for (let number = 0; number < 7; number += 1) await gate.send(made.secret);
  await signedIn(async (page, watched) => {
    await watched.goto(`/keys/${made.key.id}`, /^leaked/);
    await page.getByRole("button", { name: "Revoke" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("7 requests").waitFor();
    await dialog.getByText("version 1: 7").waitFor();
    await watched.isSound("revoking");
    await dialog.getByLabel("Reason").fill("seen in a log");
    await dialog.getByRole("button", { name: "Revoke for ever" }).click();
    await page.getByText("leaked is revoked.").waitFor();
    await page.getByText("revoked", { exact: true }).first().waitFor();
    assert.equal(await page.getByRole("button", { name: "Rotate" }).count(), 0);
    await page.getByRole("link", { name: "History" }).click();
    await page.getByText("seen in a log").waitFor();
  });
  assert.deepEqual([await gate.send(made.secret), await gate.send(other.secret)], [401, 200]);
});

test("a key is suspended, resumed, edited and tested, and an old version is ended alone", async () => {
  const made = await gate.key("handled", billing);
  const rotated = await gate.call("POST", `/admin/keys/${made.key.id}/rotate`, { grace: "24h" });
  await signedIn(async (page, watched) => {
    await watched.goto(`/keys/${made.key.id}`, /^handled/);
    const dialog = page.getByRole("dialog");
    await page.getByRole("button", { name: "Suspend" }).click();
    await dialog.getByRole("button", { name: "Suspend" }).click();
    await page.getByRole("button", { name: "Resume" }).waitFor();
    assert.equal(await gate.send(rotated.secret), 403);
    await page.getByRole("button", { name: "Test this key" }).click();
    await dialog.getByRole("button", { name: "Test this key" }).click();
    await dialog.getByText("refused", { exact: true }).waitFor();
    await dialog.getByText(/key suspended/).waitFor();
    await watched.isSound("a test");
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Resume" }).click();
    await dialog.getByRole("button", { name: "Resume" }).click();
    await page.getByRole("button", { name: "Suspend" }).waitFor();
    assert.equal(await gate.send(rotated.secret), 200);
    await page.getByRole("button", { name: "Edit" }).click();
    await dialog.getByLabel("Purpose").fill("for the tests");
    await watched.isSound("editing");
    await dialog.getByRole("button", { name: "Save" }).click();
    await page.getByText("for the tests").first().waitFor();
    await page.getByRole("button", { name: "End now" }).click();
    await dialog.getByRole("button", { name: "End it now" }).click();
    await page.getByText("Version 1 of handled has ended.").waitFor();
  });
  assert.deepEqual([await gate.send(made.secret), await gate.send(rotated.secret)], [401, 200]);
});

test("S1-05, S1-14, S4-10: usage is told by version, status and route, with addresses and failed attempts", async () => {
  const made = await gate.key("counted", billing, { rate_limits: [{ rate: "1/day", burst: 3 }] });
  for (let number = 0; number < 5; number += 1) await gate.send(made.secret);
  await signedIn(async (page, watched) => {
    await watched.goto(`/keys/${made.key.id}/usage`, /^counted/);
    await page.getByRole("button", { name: "Hour", exact: true }).click();
    await page.locator(".figure", { hasText: "Admitted" }).getByText("3", { exact: true }).waitFor();
    await page.locator(".figure", { hasText: "Refused" }).getByText("2", { exact: true }).waitFor();
    for (const by of ["Status", "Route", "Version"]) {
      await page.getByRole("button", { name: by, exact: true }).click();
      await page.getByRole("img", { name: `Requests over time by ${by.toLowerCase()}` }).waitFor();
    }
    await page.getByRole("region", { name: "Last addresses" }).getByText("127.0.0.1").waitFor();
    await page.getByRole("region", { name: "Failed attempts" }).getByText("rate limited").first().waitFor();
    await watched.isSound("usage");
  });
});

test("S1-09, S4-08: the audit log is filtered, says whether its chain is whole, and is exported", () =>
  signedIn(async (page, watched) => {
    await watched.goto("/audit", "Audit log");
    await page.getByText(/^The chain is whole/).waitFor();
    await page.getByLabel("Type").selectOption("key_rotation");
    await page.getByRole("cell", { name: "new vault" }).waitFor();
    await page.getByRole("button", { name: /^More of key rotation/ }).first().click();
    await page.getByText("Old secret").waitFor();
    await watched.isSound("the audit log");
    for (const [name, expected] of [["CSV", /^id,seq,timestamp,type[\s\S]*key_rotation/], ["NDJSON", /^\{.*"type":"key_rotation"/]]) {
      const saving = page.waitForEvent("download");
      await page.getByRole("button", { name, exact: true }).click();
      const text = await readFile(await (await saving).path(), "utf8");
      assert.match(text, expected);
      assert.ok(!text.includes("key_creation"), "what was filtered is what is exported");
    }
  }));

test("S3-10, S4-17, S2-01: an owner signs in by a link, sees only their own keys, and is switched off", async () => {
  const ann = { name: "Ann", type: "user" };
  const made = await gate.key("ann-laptop", ann);
  await gate.key("not-anns", billing);
  await signedIn(async (page, watched) => {
    await watched.goto("/owners", "Owners");
    await page.getByLabel("Search by name").fill("Ann");
    const row = page.getByRole("row", { name: /Ann/ });
    await row.getByRole("button", { name: "Sign-in link" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("button", { name: "Make a link" }).click();
    const link = await dialog.getByLabel("Sign-in link").inputValue();
    await watched.isSound("a link");
    await dialog.getByRole("button", { name: "Done" }).click();

    const hers = await open(browser, gate);
    await hers.page.goto(link);
    await hers.page.getByRole("button", { name: "Sign in" }).click();
    await hers.page.getByRole("link", { name: "ann-laptop" }).waitFor();
    assert.ok(!hers.page.url().includes("#"), "the code stands in no history");
    assert.equal(await hers.page.getByText("not-anns").count(), 0);
    const places = await hers.page.getByRole("navigation", { name: "Main" }).getByRole("link").allInnerTexts();
    assert.deepEqual(places, ["API Keys", "Audit log", "API reference"]);
    await hers.isSound("an owner's keys");
    await hers.shot("owner-keys");
    await hers.page.getByRole("button", { name: "Rotate" }).click();
    const rotating = hers.page.getByRole("dialog");
    await rotating.getByLabel("I understand").check();
    await rotating.getByRole("button", { name: "Review" }).click();
    await rotating.getByRole("button", { name: "Confirm rotation" }).click();
    assert.equal(await gate.send(await takeSecret(hers.page)), 200);

    await row.getByRole("button", { name: "Disable all keys" }).click();
    const disable = dialog.getByRole("button", { name: "Disable all keys" });
    assert.ok(await disable.isDisabled());
    await dialog.getByLabel(/^Type .Ann. to confirm/).fill("Ann");
    await watched.isSound("switching an owner off");
    await disable.click();
    await dialog.getByText("1 key revoked").waitFor();
    await dialog.getByRole("contentinfo").or(dialog.locator("footer")).getByRole("button", { name: "Close" }).click();
    await row.getByText("switched off").waitFor();
    assert.equal(await gate.send(made.secret), 401);

    await hers.page.reload();
    await hers.page.getByLabel("Admin token").waitFor();
    hers.faults.splice(0).forEach((fault) => assert.match(fault, /401/));
    await hers.close();
  });
});

test("products are made, changed and deleted", () =>
  signedIn(async (page, watched) => {
    await watched.goto("/products", "Products");
    await page.getByRole("button", { name: "New product" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Name").fill("gold");
    await dialog.getByRole("button", { name: "Add a quota" }).click();
    await dialog.getByLabel("Requests of quota 1").fill("1000");
    await watched.isSound("a product");
    await dialog.getByRole("button", { name: "Make" }).click();
    const row = page.getByRole("row", { name: /gold/ });
    await row.getByText("1,000 per month").waitFor();
    await row.getByRole("button", { name: "Edit" }).click();
    await dialog.getByLabel("Requests of quota 1").fill("2000");
    await dialog.getByRole("button", { name: "Save" }).click();
    await row.getByText("2,000 per month").waitFor();
    await row.getByRole("button", { name: "Delete" }).click();
    await dialog.getByRole("button", { name: "Delete" }).click();
    await row.waitFor({ state: "hidden" });
  }));

test("S4-12, S4-15: a policy is previewed before it is made, and turned off and on", () =>
  signedIn(async (page, watched) => {
    await watched.goto("/policies", "Policies");
    await page.getByRole("button", { name: "New policy" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Name").fill("everything ends");
    await dialog.getByLabel("An expiry").check();
    await dialog.getByRole("button", { name: "Preview" }).click();
    await dialog.getByText(/Would revoke 0 keys of \d+ keys/).waitFor();
    await watched.isSound("a policy");
    await dialog.getByRole("button", { name: "Make" }).click();
    const card = page.getByRole("article", { name: "everything ends" });
    await card.getByText("Every key has an expiry.").waitFor();
    await card.getByRole("button", { name: "Turn off" }).click();
    await card.getByText("off", { exact: true }).waitFor();
    await card.getByRole("button", { name: "Delete" }).click();
    await dialog.getByRole("button", { name: "Delete" }).click();
    await card.waitFor({ state: "hidden" });
  }));

test("S3-02, S3-03, S3-05: a switch in the settings has all keys rotate by themselves", () =>
  signedIn(async (page, watched) => {
    await watched.goto("/settings", "Settings");
    const all = page.getByRole("switch", { name: "Rotate all keys automatically" });
    assert.equal(await all.getAttribute("aria-checked"), "false");
    await all.click();
    await page.getByText("All keys are rotated every 90 days.").waitFor();
    const { items } = await gate.call("GET", "/admin/keys/rotation");
    assert.deepEqual([items[0].interval_days, items[0].keep_previous, items[0].selector], [90, true, null]);
    await page.getByRole("button", { name: "New rule" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("It is about").selectOption("risk");
    await dialog.getByLabel("Every so many days").fill("30");
    await watched.isSound("a rule");
    await dialog.getByRole("button", { name: "Turn on" }).click();
    await page.getByRole("rowheader", { name: "risk high" }).waitFor();
    await all.click();
    await dialog.getByRole("button", { name: "Turn off" }).click();
    await page.getByRole("rowheader", { name: "risk high" }).waitFor({ state: "hidden" });
    assert.equal(await all.getAttribute("aria-checked"), "false");
  }));

test("tokens are made and revoked, with the sessions made of them, and roles are respected", () =>
  signedIn(async (page, watched) => {
    await watched.goto("/settings", "Settings");
    await page.getByRole("button", { name: "New token" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Name").fill("watcher");
    await dialog.getByRole("button", { name: "Make" }).click();
    const secret = await takeSecret(page);

    const viewer = await open(browser, gate);
    await viewer.signIn(secret);
    await viewer.goto("/keys", "API Keys");
    assert.equal(await viewer.page.getByRole("button", { name: /Generate|Rotate|Revoke|Suspend/ }).count(), 0);
    await viewer.goto("/settings", "Settings");
    assert.equal(await viewer.page.getByText("Admin tokens").count(), 0);
    assert.ok(await viewer.page.getByRole("switch").isDisabled());

    await page.getByRole("button", { name: "Revoke watcher" }).click();
    await dialog.getByRole("button", { name: "Revoke for ever" }).click();
    await page.getByText("watcher has ended").waitFor();
    await viewer.page.goto("/keys");
    await viewer.page.getByLabel("Admin token").waitFor();
    viewer.faults.splice(0).forEach((fault) => assert.match(fault, /401/));
    await viewer.close();
  }));

test("the access review is exported whole, and no field of it is a formula", async () => {
  await gate.key("=cmd()", billing);
  await signedIn(async (page, watched) => {
    await watched.goto("/settings", "Settings");
    const saving = page.waitForEvent("download");
    await page.getByRole("button", { name: "Export access review" }).click();
    const lines = (await readFile(await (await saving).path(), "utf8")).trim().split("\r\n");
    const { items } = await gate.call("GET", "/admin/keys?limit=1000");
    assert.equal(lines.length, items.length + 1);
    assert.ok(items.every((key) => lines.some((line) => line.startsWith(`${key.id},`))));
    assert.ok(lines.some((line) => line.includes("'=cmd()")));
  });
});

test("what happens now is on the overview as it happens", () =>
  signedIn(async (page, watched) => {
    await watched.goto("/", "Overview");
    await page.getByText("Requests a second").first().waitFor();
    const made = await gate.key("busy", billing);
    for (let sent = 0; sent < 20; sent += 1) await gate.send(made.secret);
    await gate.send(undefined, "/v1/nobody");
    await page.getByRole("region", { name: "Requests as they finish" }).getByText("/v1/nobody").waitFor();
    const busy = page.getByRole("region", { name: "Busiest keys" }).getByRole("row", { name: /^busy 20 0$/ });
    await busy.first().waitFor();
    await page.getByRole("img", { name: /^Requests of the last hour/ }).waitFor();
    await page.locator(".bars").getByText("missing key").waitFor();
    await watched.isSound("the overview");
    await page.getByRole("button", { name: "Pause" }).click();
    await page.getByRole("button", { name: "Go on" }).waitFor();
  }));

test("stored scripts stay text: in names, purposes, labels, paths, reasons, user agents and all that has a name", async () => {
  const evil = '<img src=x onerror="window.hit=1">';
  const agent = { "User-Agent": evil, Referer: `http://a/${evil}`, "X-Forwarded-For": evil };
  const ended = await gate.key(`${evil} ended`, { name: `${evil} Ltd`, type: "team" });
  await gate.send(ended.secret, "/v1/orders", agent);
  await gate.call("POST", `/admin/keys/${ended.key.id}/suspend`, { reason: `<script>window.hit=1</script>${evil}` });
  await gate.send(ended.secret, "/v1/orders", agent);
  await gate.call("POST", "/admin/policies", { name: evil, description: evil, max_age: "90d", selector: { label: "team=nobody" } });
  await gate.call("POST", "/admin/tokens", { name: `">${evil}`, role: "viewer" });
  await gate.call("POST", "/admin/products", { name: "evil", description: evil });
  const made = await gate.key(evil, { name: `${evil} Ltd`, type: "team" }, { description: `"><script>window.hit=1</script>`, labels: { team: evil } });
  await gate.send(made.secret, "/%3Cscript%3Ewindow.hit=1%3C/script%3E");
  await signedIn(async (page, watched) => {
    for (const path of ["/keys?name=img", `/keys/${made.key.id}`, `/keys/${made.key.id}/usage`, `/keys/${ended.key.id}`, `/keys/${ended.key.id}/usage`, "/audit", "/owners", "/products", "/policies", "/settings", "/"]) {
      await page.goto(path);
      await page.getByRole("heading", { level: 1 }).waitFor();
      await watched.settled();
      assert.equal(await page.evaluate(() => window.hit), undefined, path);
      // It is there to be read, or nothing was tried.
      if (path !== "/") await page.getByText(evil).first().waitFor();
    }
  });
});

test("a page elsewhere can neither frame the dashboard nor call by its session", () =>
  signedIn(async (page, watched) => {
    const { createServer } = await import("node:http");
    const { key } = await gate.key("target", billing);
    const server = createServer((_, reply) => {
      reply.setHeader("content-type", "text/html");
      reply.end(`<iframe src="${gate.admin}/keys"></iframe>
        <form method="post" action="${gate.admin}/admin/keys/${key.id}/suspend" enctype="text/plain"></form>`);
    });
    await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
    const other = await watched.context.newPage();
    await other.goto(`http://127.0.0.1:${server.address().port}/`);
    const status = await other.evaluate(
      ([url]) => fetch(url, { method: "DELETE", credentials: "include", mode: "no-cors" }).then((reply) => reply.type, () => "refused"),
      [`${gate.admin}/admin/keys/${key.id}`],
    );
    assert.equal(status, "refused", "no-cors allows no DELETE, and CORS is not spoken");
    const framed = other.frames().find((frame) => frame !== other.mainFrame());
    assert.ok(!(await framed.content()).includes("Portcullis"));
    await other.evaluate(() => document.forms[0].submit());
    await other.waitForURL(/suspend/);
    assert.equal((await gate.call("GET", `/admin/keys/${key.id}`)).status, "active");
    await other.close();
    server.closeAllConnections();
    server.close();
  }));

test("a name that is made to lead here gets no page and no answer", async () => {
  // The browser takes the name for another site's, and the gate for the address it is at: DNS rebinding.
  const rebound = await launch(["--host-resolver-rules=MAP rebound.example 127.0.0.1"]);
  try {
    const { port } = new URL(gate.admin);
    const page = await rebound.newPage();
    for (const path of ["/", "/keys", "/admin/session", "/metrics", "/healthz"]) {
      const reply = await page.goto(`http://rebound.example:${port}${path}`);
      assert.equal(reply.status(), 421, path);
      assert.ok(!(await page.content()).includes("<script"), path);
    }
    // What its own server gave it before the name was turned. Of its own origin a page may ask what it likes, and
    // read every answer.
    await page.route("**/lure", (route) => route.fulfill({ contentType: "text/html", body: "<p>a prize</p>" }));
    await page.goto(`http://rebound.example:${port}/lure`);
    const answers = await page.evaluate(
      (token) =>
        Promise.all(
          ["GET", "POST", "DELETE"].map(async (method) => {
            const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
            const body = method === "POST" ? '{"name": "rebound", "owner": {"name": "R", "type": "team"}}' : undefined;
            // A browser may ask again where it is told 421, and give up on what it cannot send again.
            const reply = await fetch("/admin/keys", { method, headers, body }).catch(() => undefined);
            return reply ? `${reply.status} ${(await reply.json()).code}` : "no answer";
          }),
        ),
      gate.token,
    );
    for (const answer of answers) assert.ok(["421 misdirected", "no answer"].includes(answer), answer);
    assert.equal((await gate.call("GET", "/admin/keys?name=rebound")).items.length, 0);
  } finally {
    await rebound.close();
  }
});

test("a page elsewhere signs nobody in, and reads nothing of a session", () =>
  signedIn(async (page, watched) => {
    const { createServer } = await import("node:http");
    const server = createServer((_, reply) => {
      reply.setHeader("content-type", "text/html");
      reply.end(`<form method="post" action="${gate.admin}/admin/session" enctype="text/plain">
        <input name='{"token": "${gate.token}", "x": "' value='"}'></form>`);
    });
    await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
    const before = (await watched.context.cookies()).map((it) => it.value);
    const other = await watched.context.newPage();
    // Another port of this machine: the same site to a browser, so that the cookie is sent.
    await other.goto(`http://127.0.0.1:${server.address().port}/`);
    const read = await other.evaluate(
      (url) => fetch(url, { credentials: "include" }).then((reply) => reply.text(), () => "refused"),
      `${gate.admin}/admin/session`,
    );
    assert.equal(read, "refused");
    const script = await other.evaluate(
      (url) =>
        new Promise((done) => {
          const tag = document.createElement("script");
          tag.onload = () => done("run");
          tag.onerror = () => done("refused");
          tag.src = url;
          document.head.append(tag);
        }),
      `${gate.admin}/admin/keys`,
    );
    assert.equal(script, "refused");
    const [reply] = await Promise.all([
      other.waitForResponse(/session/),
      other.evaluate(() => document.forms[0].submit()),
    ]);
    assert.ok(reply.status() === 403 || reply.status() === 415, `${reply.status()}`);
    // A page that is closed before it has got there may never be.
    await other.waitForURL(/session/);
    assert.deepEqual((await watched.context.cookies()).map((it) => it.value), before);
    await other.close();
    server.closeAllConnections();
    server.close();
  }));

test("the keyboard alone is enough, and a dialog gives the focus back", () =>
  signedIn(async (page, watched) => {
    await watched.goto("/keys?name=nightly", "API Keys");
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.innerText), "Skip to the page");
    await page.getByRole("button", { name: "Rotate" }).focus();
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").waitFor();
    for (let tabs = 0; tabs < 30; tabs += 1) {
      await page.keyboard.press("Tab");
      const isInside = await page.evaluate(() => document.activeElement === document.body || document.activeElement.closest("dialog") !== null);
      assert.ok(isInside, "the focus left the dialog");
    }
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "hidden" });
    assert.equal(await page.evaluate(() => document.activeElement.getAttribute("aria-label")), "Rotate");
  }));
