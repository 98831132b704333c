// One stream of events for all tabs: a browser opens at most six HTTP/1.1 connections to a host;
// with a stream in each, the seventh tab would hang. This file runs in the page and in its
// SharedWorker; where there is none, only the tab that is seen has a stream.
const script = self.document?.currentScript.src ?? location.href;
let source, retry, delay = 1, ports = []; // seconds; what a closed tab's port gets goes nowhere

function disconnect() {
  clearTimeout(retry);
  source?.close();
  source = undefined;
}

function connect(tell) {
  disconnect();
  source = new EventSource(new URL("../stream", script));
  const pass = ({ type, data = "{}" }) => tell({ type, data: JSON.parse(data) });
  for (const type of ["open", "login", "progress", "contacts", "message", "reset"]) {
    source.addEventListener(type, pass);
  }
  source.addEventListener("open", () => (delay = 1));
  source.onerror = () => {
    tell({ type: "lost" });
    if (source.readyState !== EventSource.CLOSED) return; // the browser tries again
    retry = setTimeout(connect, delay * 1000, tell); // after a 401 or 503 it does not
    delay = Math.min(delay * 2, 30);
  };
}

// What a page may ask for: "join" the stream, or "renew" it after a login, whose cookie it needs;
// "leave" it, because without a login there is none.
function obey(wish, tell) {
  if (wish === "leave") {
    disconnect();
    tell({ type: "left" }); // the other tabs have no stream either, so they have to ask
  } else if (wish === "renew" || !source) connect(tell);
}

self.onconnect = ({ ports: [port] }) => { // in the worker: another tab
  ports.push(port);
  const tellAll = (event) => ports.forEach((port) => port.postMessage(event));
  port.onmessage = ({ data: wish }) => obey(wish, tellAll);
};

// In the page: calls tell({type, data}) with each event, and with "open" and "lost". Returns the
// function that takes a wish.
function subscribe(tell) {
  if (self.SharedWorker) {
    const { port } = new SharedWorker(script);
    port.onmessage = ({ data }) => tell(data);
    return (wish) => port.postMessage(wish);
  }
  let last = "leave";
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) disconnect();
    else obey(last, tell);
  });
  return (wish) => {
    last = wish;
    if (!document.hidden) obey(wish, tell);
  };
}
