import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// What is built is checked in and compiled into the binary, so it must be the same bytes wherever it is built.
export default defineConfig({
  plugins: [react()],
  build: {
    outDir: "../dist",
    emptyOutDir: true,
    // A data: URL of a script or a style would need a weaker content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: "es2022",
    reportCompressedSize: false,
  },
  server: {
    port: 5199,
    // `npm run dev` beside a running gate.
    proxy: {
      "/admin": { target: process.env["PORTCULLIS_ADMIN_URL"] ?? "http://127.0.0.1:9900" },
      "/metrics": { target: process.env["PORTCULLIS_ADMIN_URL"] ?? "http://127.0.0.1:9900" },
    },
  },
});
