// The flows of the dashboard once more, over a real Redis.

process.env.PORTCULLIS_STORE = "redis";
await import("./flows.test.mjs");
