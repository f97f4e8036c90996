// Each page once per width and theme: sound, no wider than the screen, and kept as a picture.

import { after, before } from "node:test";

import { Gate } from "./gate.mjs";
import { launch, open, test } from "./page.mjs";

let gate;
let browser;
let shown;

before(async () => {
  gate = await Gate.start();
  browser = await launch();
  shown = await furnish();
});

after(async () => {
  await browser?.close();
  await gate?.stop();
});

/** What a gate looks like that people use. Answers with a key that has two versions. */
async function furnish() {
  const team = (name) => ({ name, type: "team" });
  await gate.call("POST", "/admin/products", {
    name: "starter",
    description: "for trying out",
    scopes: ["orders:read"],
    rate_limits: [{ rate: "10/second", burst: 20 }],
    quotas: [{ limit: 1000, per: "day" }],
  });
  await gate.call("POST", "/admin/policies", { name: "unused", stale_after: "30d", revoke_unused_after: "180d" });
  await gate.call("POST", "/admin/keys/rotation/enable", { interval_days: 90, keep_previous: true });
  const worker = await gate.key("billing-worker", team("Billing"), {
    description: "nightly export",
    products: ["starter"],
    labels: { team: "billing" },
    quotas: [{ limit: 5000, per: "month" }],
  });
  const mobile = await gate.key("mobile-app", team("Mobile"), { rate_limits: [{ rate: "5/second", burst: 5 }] });
  const paused = await gate.key("old-cron", { name: "Data platform", type: "system" });
  const ended = await gate.key("anna-laptop", { name: "Anna", type: "user" });
  await gate.key("partner-with-a-name-that-goes-on-for-longer-than-a-column", team("Partner"), { protected: true });
  for (let sent = 0; sent < 12; sent += 1) {
    await gate.send(worker.secret);
    await gate.send(mobile.secret, "/v1/search");
  }
  await gate.send(undefined);
  const rotated = await gate.call("POST", `/admin/keys/${worker.key.id}/rotate`, { reason: "regular" });
  for (let sent = 0; sent < 5; sent += 1) await gate.send(rotated.secret);
  await gate.call("POST", `/admin/keys/${paused.key.id}/suspend`, { reason: "odd traffic" });
  await gate.call("DELETE", `/admin/keys/${ended.key.id}?reason=left`);
  await gate.send(ended.secret);
  return worker.key.id;
}

const pages = () => [
  ["overview", "/", "Overview"],
  ["keys", "/keys", "API Keys"],
  ["key", `/keys/${shown}`, /^billing-worker/],
  ["usage", `/keys/${shown}/usage`, /^billing-worker/],
  ["history", `/keys/${shown}/history`, /^billing-worker/],
  ["audit", "/audit", "Audit log"],
  ["owners", "/owners", "Owners"],
  ["products", "/products", "Products"],
  ["policies", "/policies", "Policies"],
  ["settings", "/settings", "Settings"],
  ["reference", "/reference", "API reference"],
];

for (const width of [390, 1024, 1600]) {
  for (const theme of ["light", "dark"]) {
    test(`every page at ${width} px in ${theme}`, async () => {
      const name = (page) => `${page}-${width}-${theme}`;
      const watched = await open(browser, gate, { width, height: width < 500 ? 844 : 900, theme });
      await watched.page.goto("/");
      await watched.page.getByLabel("Admin token").waitFor();
      await watched.isSound(name("login"));
      await watched.shot(name("login"));
      await watched.signIn();
      for (const [page, path, heading] of pages()) {
        await watched.goto(path, heading);
        if (page === "overview") await watched.page.getByText("Half are faster than").waitFor();
        await watched.isSound(name(page));
        await watched.shot(name(page));
      }
      await watched.goto("/reference", "API reference");
      for (const call of ["createKey", "listAuditLogs"]) {
        await watched.page.locator(`#${call} > summary`).click();
        await watched.page.locator(`#${call} summary`, { hasText: "field" }).first().click();
      }
      await watched.isSound(name("calls"));
      await watched.page.locator("#createKey").scrollIntoViewIfNeeded();
      await watched.shot(name("calls"), { fullPage: false });
      await watched.goto("/keys?name=billing", "API Keys");
      await watched.page.getByRole("button", { name: "Detailed" }).click();
      await watched.page.getByText("Traffic by version").waitFor();
      await watched.isSound(name("cards"));
      await watched.shot(name("cards"));
      for (const [button, dialog] of [["Rotate", "rotate"], ["Revoke", "revoke"], ["Test this key", "test"], ["Generate New API Key", "new-key"]]) {
        await watched.page.getByRole("button", { name: button }).click();
        await watched.page.getByRole("dialog").waitFor();
        await watched.isSound(name(dialog));
        await watched.shot(name(dialog), { fullPage: false });
        await watched.page.keyboard.press("Escape");
        await watched.page.getByRole("dialog").waitFor({ state: "hidden" });
      }
      await watched.close();
    });
  }
}
