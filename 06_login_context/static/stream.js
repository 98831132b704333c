// One stream of events for all tabs: a browser opens at most six HTTP/1.1 connections to a host;
// with a stream in each, the seventh tab would hang. This file runs in the page and in its
// SharedWorker; where there is none (Chrome on Android), only the tab that is seen has a stream.
let source, retry, delay = 1, ports = []; // seconds; what a closed tab's port gets goes nowhere

function connect(tell, wanted = true) {
  clearTimeout(retry);
  source?.close();
  if (!wanted) return;
  source = new EventSource("/stream");
  const pass = ({ type, data = "{}" }) => tell({ type, data: JSON.parse(data) });
  for (const type of ["open", "login", "progress", "contacts", "message", "reset"]) {
    source.addEventListener(type, pass);
  }
  source.addEventListener("open", () => (delay = 1));
  source.onerror = () => {
    tell({ type: "lost" });
    if (source.readyState !== EventSource.CLOSED) return; // the browser tries again
    retry = setTimeout(connect, delay * 1000, tell); // after a 502 or 503 it does not
    delay = Math.min(delay * 2, 30);
  };
}

self.onconnect = ({ ports: [port] }) => { // in the worker: another tab
  const tell = (event) => ports.forEach((port) => port.postMessage(event));
  if (ports.push(port) === 1) connect(tell);
  port.onmessage = () => connect(tell); // it has logged in or out
};

// In the page: calls tell({type, data}) with each event, and with "open" and "lost". Returns what
// to call after a login or logout: the new cookie opens another stream.
function subscribe(tell) {
  if (self.SharedWorker) {
    const { port } = new SharedWorker("/static/stream.js");
    port.onmessage = ({ data }) => tell(data);
    return () => port.postMessage("connect");
  }
  const own = () => connect(tell, !document.hidden);
  document.addEventListener("visibilitychange", own);
  own();
  return own;
}
