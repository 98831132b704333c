import { defineConfig } from "vite";

// Not "localhost", which Node may look up as ::1, where Flask does not listen.
const target = process.env.FLASK_URL ?? "http://127.0.0.1:8102";

// If Flask dies in the middle of an answer, an event stream say, the browser must hear of it.
function configure(proxy) {
  proxy.on("proxyRes", (fromFlask, request, toBrowser) => {
    fromFlask.on("close", () => fromFlask.complete || toBrowser.destroy());
  });
}

// The Host header stays the one that the browser sent, so Flask's URLs lead back here.
const flask = { target, changeOrigin: false, configure };

export default defineConfig({
  server: {
    port: 5173,
    strictPort: true,
    cors: false, // Vite's own Access-Control-Allow-Origin would hide that Flask sends none
    proxy: {
      "/j": flask,
      "/uploads": flask,
      // The same API once more, as the article had it, for comparison.
      "/changed": {
        ...flask,
        changeOrigin: true,
        rewrite: (path) => path.replace("/changed", ""),
      },
    },
  },
});
