import { defineConfig } from "vite";

// Not "localhost", which Node may look up as ::1, where Flask does not listen.
const target = process.env.FLASK_URL ?? "http://127.0.0.1:8102";

// If Flask dies in the middle of an answer, an event stream say, the browser must hear of it.
function configure(proxy) {
  proxy.on("proxyRes", (fromFlask, request, toBrowser) => {
    fromFlask.on("close", () => fromFlask.complete || toBrowser.destroy());
  });
}

export default defineConfig({
  server: {
    port: 5173,
    strictPort: true,
    cors: false, // Vite's own Access-Control-Allow-Origin would hide that Flask sends none
    proxy: {
      // The Host header stays the one that the browser sent, so Flask's URLs lead back here.
      "/j": { target, changeOrigin: false, configure },
      "/uploads": { target, changeOrigin: false },

      // The same API once more, as the article had it, for comparison.
      "/changed": {
        target,
        changeOrigin: true,
        rewrite: (path) => path.replace("/changed", ""),
      },
    },
  },
});
