// Each column opens its stream, and then loads what is stored for its account; from then on, it
// shows what events bring, also those that it has missed.
// The accidents compare both at the end.

const $ = (id) => document.getElementById(id);
const SHOWN = 5; // a column shows the newest ones
const columns = new Map(); // account -> its column
const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));
let number = 0; // of the accident, so that its messages can be counted

function randomId() { // crypto.randomUUID() needs HTTPS
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function ask(method, path, account, body) {
  const response = await fetch(`${path}?as=${account}`, { method, body, cache: "no-store" });
  if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
  return response.json();
}

const idOf = ({ id, from_id }) => `${from_id} ${id}`; // two senders may choose the same id

// A request for one message: sending it twice means sending the same request twice.
function request(from, to, text) {
  const body = new URLSearchParams({ id: randomId(), to, text });
  return (query = "") => ask("POST", "/messages", from + query, body);
}

class Column {
  constructor(section) {
    this.section = section;
    this.account = section.dataset.account;
    this.messages = []; // that it has shown, newest first
    section.querySelector(".message").addEventListener("submit", (event) => this.send(event));
    this.open();
  }

  open() {
    const stream = new EventSource(`/stream?as=${this.account}`);
    // What comes before the first event; after a lost connection, the stream brings what was missed.
    stream.addEventListener("open", () => this.load().catch(failed), { once: true });
    stream.addEventListener("message", ({ data }) => {
      const message = JSON.parse(data);
      // It may have been loaded as well.
      if (!this.messages.some((one) => idOf(one) === idOf(message))) this.messages.unshift(message);
      this.show();
    });
    stream.addEventListener("reset", () => location.reload()); // nobody knows what was missed
    stream.addEventListener("login", () => location.reload()); // it has been ended elsewhere
    stream.onerror = () => { // the browser tries again, except after an error such as a 503
      if (stream.readyState === EventSource.CLOSED) setTimeout(() => this.open(), 5000);
    };
    this.stream = stream;
  }

  async load() {
    const stored = await ask("GET", "/messages", this.account);
    const ids = new Set(stored.map(idOf));
    // An event may have been faster than this response.
    this.messages = [...this.messages.filter((one) => !ids.has(idOf(one))), ...stored];
    this.show();
  }

  show() {
    const items = this.messages.slice(0, SHOWN).map(({ text, from_id }) => {
      const item = document.createElement("li");
      item.className = from_id === this.account ? "mine" : "theirs";
      item.textContent = text;
      return item;
    });
    this.section.querySelector(".shown").replaceChildren(...items.reverse());
    const count = this.messages.length;
    this.section.querySelector(".count").textContent = count > SHOWN ? `The newest of ${count}.` : "";
  }

  async send(event) {
    event.preventDefault();
    const form = event.target;
    await request(this.account, this.section.dataset.to, form.text.value)().catch(failed);
    form.reset();
  }

  async count(text) { // how many messages begin with it
    const begin = (messages) => messages.filter((message) => message.text.startsWith(text)).length;
    return [begin(await ask("GET", "/messages", this.account)), begin(this.messages)];
  }
}

function say(text, kind = "") {
  $("summary").textContent = text;
  $("summary").className = kind;
}

const failed = (error) => $("summary") && say(`No answer: ${error.message}`, "bad");

// Waits until both accounts have `expected` messages, or too many, or for a few seconds, and shows
// what they have.
async function compare(text, expected) {
  let all;
  for (const end = Date.now() + 8000; ; await pause(0.3)) {
    all = await Promise.all([...columns.values()].map((column) => column.count(text)));
    const right = all.flat().every((count) => count === expected);
    const tooMany = all.flat().every((count) => count > expected);
    if (right || tooMany || Date.now() > end) break;
  }
  [...$("result").tBodies[0].rows].forEach((row, n) => all[n].forEach((count, m) => {
    row.cells[m + 1].textContent = count;
    row.cells[m + 1].className = count === expected ? "good" : "bad";
  }));
  $("result").hidden = false;
  return all.flat();
}

const accidents = {
  async twice(text) {
    const send = request("ada", "lin", text);
    say("Sending. Nobody sees the response, so here is the same request once more …");
    await send();
    await send();
    say("Sent twice. For up to 8 seconds, the page waits for what arrives …");
    const counts = await compare(text, 1);
    if (counts.every((count) => count === 1)) say("Sent twice, arrived once.", "good");
    else say("Sent twice, arrived twice.", "bad");
  },

  async die(text) {
    const send = request("ada", "lin", text);
    say("Sending. The process is killed while it publishes …");
    await send("&die=1").catch(() => {});
    await pause(1); // gunicorn starts another process
    for (const column of columns.values()) {
      while (column.stream.readyState !== EventSource.OPEN) await pause(0.2);
    }
    say("No response, so here is the same request once more …");
    await send();
    say("Sent again. For up to 8 seconds, the page waits for what arrives …");
    const counts = await compare(text, 1);
    if (counts.every((count) => count === 1)) say("Everything is stored and shown, once.", "good");
    else say("What is stored isn’t what is shown.", "bad");
  },

  async receiver(text) {
    for (let n = 1; n <= 50; n++) {
      say(`${n} of 50 sent.`);
      await request("ada", "lin", `${text}, ${n} of 50`)();
      if (n === 25) say(`Process ${(await ask("POST", "/kill", "lin")).killed} is killed …`);
    }
    say("All sent. The next process has to start and to listen …");
    const counts = await compare(text, 50);
    if (counts.every((count) => count === 50)) say("50 sent, 50 received, each once.", "good");
    else say("Not what was sent.", "bad");
  },
};

for (const section of document.querySelectorAll("[data-here='1']")) {
  columns.set(section.dataset.account, new Column(section));
}
for (const button of document.querySelectorAll("[data-accident]")) {
  button.addEventListener("click", async () => {
    const buttons = document.querySelectorAll("[data-accident]");
    for (const other of buttons) other.disabled = true;
    const time = new Date().toLocaleTimeString();
    number += 1;
    $("result").hidden = true;
    await accidents[button.dataset.accident](`No. ${number}, ${time}`).catch(failed);
    for (const other of buttons) other.disabled = false;
  });
}
