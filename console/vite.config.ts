import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

/** The console as files that any origin can serve beside the API; nothing of it is inline, for the content policy. */
export default defineConfig({
  root: fileURLToPath(new URL(".", import.meta.url)),
  plugins: [react()],
  build: {
    target: "es2023",
    // What the index names is loaded by the same policy as the rest.
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    // A few kilobytes that are there from the start: no page waits for its looks, or fails where they cannot be had.
    cssCodeSplit: false,
    reportCompressedSize: false,
    chunkSizeWarningLimit: 600,
  },
});
