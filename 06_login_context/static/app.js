// The page asks the server how things are and shows that; an event says that something has
// changed. So a reload, a lost event and another tab need no code of their own.
const KINDS = { users: "friends", groups: "groups", mps: "official accounts" };
const LOGIN = {
  pending: "Waiting for you to scan the code.",
  scanned: "Scanned. Now confirm it there.",
  confirmed: "Confirmed. Logging in …",
  cancelled: "Cancelled: nobody was logged in.",
  expired: "This code has expired.",
  out: "You are logged out.",
};
const OPEN = ["pending", "scanned", "confirmed"];
const WHEN = { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" };
const trouble = {}; // of the "server" and the "stream": what the reader is told
let user, ready, reopen; // who is logged in; lists are shown; asks for the new session's stream
let login, until; // a key of LOGIN; when the code expires, in milliseconds
let lost, typed; // timers
let kind = "users", lists = {}; // the tab; kind -> {items, page, pages, total}
let messages = []; // newest first
const recipients = new Map(); // id -> name

function report(what, text) {
  const before = trouble.server || trouble.stream;
  trouble[what] = text;
  say("connection", trouble.server || trouble.stream || "");
  if (before && !$("connection").textContent) note("Connected again.");
}

// How are things? One question at a time; if asked meanwhile, once more.
async function load() {
  load.again = true;
  if (load.running) return;
  load.running = true;
  clearTimeout(load.timer);
  try {
    while (load.again) {
      load.again = false;
      await reload();
    }
    report("server", "");
    load.failures = 0;
  } catch (error) {
    ready = undefined;
    report("server", `${error.message} Trying again …`);
    // Twice as long after each failure, so that many pages don't keep a server down.
    const wait = Math.min((error.wait ?? 3) * 2 ** load.failures, 30);
    load.failures += 1;
    load.timer = setTimeout(load, wait * 1000);
  }
  load.running = false;
}
load.failures = 0; // one after the other

async function reload() {
  const me = await api("GET", "/j/me").catch(unless(401));
  if (me) return showDesk(me);
  if (user) return showLogin("out");
  let code = await api("GET", "/j/login/qr").catch(unless(404)); // perhaps another tab's
  if (!login && !OPEN.includes(code?.state)) code = await api("POST", "/j/login/qr");
  if (code) showLogin(code.state ?? "pending", code);
  if (code?.state !== "confirmed") return;
  // 400: another tab was faster, its reopen() brings us here again. 503: load() tries again.
  if (!(await api("POST", "/j/login").catch(unless(400)))) return;
  load.again = true;
  reopen?.();
}

function showLogin(state, code) {
  user = ready = undefined;
  $("login").dataset.state = login = state;
  say("login-state", LOGIN[state]);
  if (code) {
    if ($("qr").getAttribute("src") !== code.qr) $("qr").src = code.qr;
    $("scan").href = code.scan_url;
    until = Date.now() + code.expires_in * 1000;
  }
  show("login", "Log in");
  tick();
}

function tick() {
  if (login !== "pending" && login !== "scanned") return;
  const left = Math.max(0, Math.round((until - Date.now()) / 1000));
  $("countdown").textContent = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
  if (!left) showLogin("expired");
}

async function showDesk(me) {
  if (user?.id !== me.user.id) {
    messages = [];
    showMessages([]);
    recipients.clear();
    showRecipients();
    $("compose").reset();
    $("q").value = "";
    $("fetching").hidden = true;
    paint($("face"), me.user.name);
    $("greeting").textContent = `Hello, ${me.user.name}`;
  }
  const news = me.ready && !ready;
  [user, ready, login] = [me.user, me.ready, "out"];
  show("desk", user.name);
  if (!ready && $("fetching").hidden) showProgress({});
  if (news) await showContacts();
  showMessages((await api("GET", "/j/messages")).messages);
}

function showProgress({ kind, done, total }) {
  $("fetching").hidden = $("progress").hidden = false;
  $("fetch").hidden = true;
  $("book").hidden = !ready;
  if (total) Object.assign($("progress"), { max: total, value: done });
  else $("progress").removeAttribute("value"); // it moves, but shows no amount
  say("fetched", `Fetching your ${KINDS[kind] ?? kind ?? "contacts"} …`);
  $("counted").textContent = total ? `${done} of ${total}` : "";
}

function showFailure() {
  showProgress({});
  say("fetched", "Your contacts could not be fetched.");
  $("progress").hidden = true;
  $("fetch").hidden = false;
}

function read(kind, page = 1) {
  return api("GET", `/j/${kind}?${new URLSearchParams({ q: $("q").value.trim(), page })}`);
}

async function showContacts() {
  const mine = (showContacts.latest = Symbol("or a slow answer replaces a later one"));
  const answers = await Promise.all(Object.keys(KINDS).map((kind) => read(kind)));
  if (mine !== showContacts.latest) return;
  Object.keys(KINDS).forEach((kind, n) => (lists[kind] = answers[n]));
  $("fetching").hidden = true;
  $("book").hidden = false;
  showList();
}

async function showMore() {
  const list = lists[kind], shown = list[kind];
  const more = await read(kind, list.page + 1);
  Object.assign(list, more, { [kind]: [...shown, ...more[kind]] });
  showList();
  $("list").children[shown.length]?.querySelector("input").focus();
}

function showList() {
  for (const input of $("kinds").querySelectorAll("input")) {
    input.nextElementSibling.textContent = lists[input.value].total;
  }
  const { [kind]: items, page, pages, total } = lists[kind];
  $("list").replaceChildren(...items.map(({ id, name }) => {
    const item = copy("contact", name), box = item.querySelector("input");
    box.checked = recipients.has(id);
    box.onchange = () => choose(id, box.checked && name);
    return item;
  }));
  say("found", total ? `${items.length} of ${total}` : "Nothing found.");
  $("more").hidden = page >= pages;
}

function choose(id, name) { // without a name: no longer
  if (name) recipients.set(id, name);
  else recipients.delete(id);
  showRecipients();
}

function showRecipients() {
  $("recipients").replaceChildren(...[...recipients].map(([id, name]) => {
    const item = copy("recipient", name), remove = item.querySelector("button");
    remove.ariaLabel = `Remove ${name}`;
    remove.onclick = () => {
      choose(id);
      showList();
      ($("recipients").querySelector("button") ?? $("text")).focus();
    };
    return item;
  }));
}

function showMessages(more) {
  const known = new Map([...more, ...messages].map((message) => [message.id, message]));
  messages = [...known.values()].sort((a, b) => b.at.localeCompare(a.at)).slice(0, 50);
  $("messages").replaceChildren(...messages.map(({ from, to, text, at, attachment, mine }) => {
    // The marks keep a name that runs from right to left from turning its neighbours around.
    const names = to.map((name) => `\u2068${name}\u2069`).join(", ");
    const item = copy("message", mine ? `To ${names}` : from, mine ? to[0] : from);
    const [time, body, link] = ["time", ".text", "a"].map((part) => item.querySelector(part));
    time.dateTime = at;
    time.textContent = new Date(at).toLocaleString([], WHEN);
    body.textContent = text;
    if (attachment) link.href = attachment;
    else link.remove();
    return item;
  }));
}

async function send() {
  const [file] = $("file").files, text = $("text").value.trim();
  if (!recipients.size) return note("Choose who gets it: tick a name.");
  if (!text && !file) return note("Write something or attach a file.");
  const form = new FormData();
  form.append("file", file);
  const attachment = file ? (await api("POST", "/uploads", form)).filename : null;
  const message = { recipients: [...recipients.keys()], text, attachment };
  showMessages([(await api("POST", "/j/messages", message)).message]);
  $("compose").reset();
  note("Sent.");
}

function receive({ type, data }) {
  if (type === "lost") { // a stream that ends at login or logout is back before this is said
    lost ??= setTimeout(report, 3000, "stream", "The connection is lost. Trying again …");
    return;
  }
  if (type === "open") {
    lost = clearTimeout(lost);
    report("stream", "");
  }
  if (type === "progress") return showProgress(data);
  if (type === "contacts" && data.type === "failed") return showFailure();
  if (type !== "message") {
    if (type === "contacts" || type === "reset") ready = undefined; // the lists are old
    return load();
  }
  showMessages([data]);
  if (!data.mine) note(`New message from ${data.from}`);
}

on("new-code", "click", async () => showLogin("pending", await api("POST", "/j/login/qr")));
on("logout", "click", async () => {
  await api("POST", "/j/logout");
  reopen?.();
  load();
});
on("fetch", "click", async () => {
  showProgress({});
  await api("POST", "/j/contacts");
});
on("more", "click", showMore);
on("compose", "submit", send);
on("kinds", "change", ({ target }) => {
  kind = target.value;
  showList();
});
on("q", "input", () => {
  clearTimeout(typed);
  typed = setTimeout(() => showContacts().catch((error) => note(error.message)), 250);
});
setInterval(tick, 1000);
load().then(() => (reopen = subscribe(receive)));
