import { defineConfig } from "vite";
import { proxyTable } from "./article.js";

// Not "localhost": that may mean ::1 first, and another server that listens there would answer.
const target = process.env.FLASK_URL ?? "http://127.0.0.1:8102";

// If Flask dies in the middle of an answer, such as an event stream, end the browser's side too.
function configure(proxy) {
  proxy.on("proxyRes", (fromFlask, request, toBrowser) => {
    fromFlask.on("close", () => fromFlask.complete || toBrowser.destroy());
  });
}

export default defineConfig({
  server: {
    port: 5173,
    strictPort: true,
    cors: false, // otherwise Vite's own header hides that Flask sends none
    proxy: {
      // With the browser's own Host header, the URLs that Flask builds lead back to this proxy.
      "/j": { target, changeOrigin: false, configure },
      // The same API once more, as the article has it, for comparison.
      "/changed": {
        ...proxyTable["/j"],
        target,
        rewrite: (path) => path.replace("/changed", ""),
      },
    },
  },
});
