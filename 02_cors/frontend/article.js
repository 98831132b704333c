// The proxy table of webpack's development server, as the first article has it. Vite's table of
// proxies takes the same two settings, so vite.config.js uses this entry under /changed.
export const proxyTable = {
  "/j": {
    target: "http://127.0.0.1:8102",
    changeOrigin: true, // Trap: changeOrigin leads past the proxy
  },
};
