// The page asks the server how things are and shows that; an event says that something has
// changed. So a reload, a lost event and another tab need no code of their own.
const KINDS = { users: "friends", groups: "groups", mps: "official accounts" };
const LOGIN = {
  pending: "Waiting for you to confirm.",
  scanned: "Scanned. Now confirm it there.",
  confirmed: "Confirmed. Logging in …",
  cancelled: "Cancelled: nobody was logged in.",
  expired: "This code has expired.",
  out: "You are logged out.",
};
const OPEN = ["pending", "scanned", "confirmed"];
const WHEN = { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" };
const trouble = {}; // of the "server" and the "stream": what the reader is told
const stream = subscribe(receive);
let user, ready; // who is logged in; lists are shown
let login, until; // a key of LOGIN; when the code expires, in milliseconds
let code = JSON.parse(sessionStorage.getItem("code")); // this tab's, also after a reload
let draft = {}; // the message that is being sent
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
  // A page that waits for its own code asks for that alone, unless another tab may have logged in.
  const alone = waiting() && !load.everything;
  load.everything = false;
  const me = alone ? undefined : await api("GET", "/j/me").catch(unless(401));
  if (me) return showDesk(me);
  if (user) return showLogin("out");
  if (login === "out") return;
  if (!code) return newCode();

  const now = await api("GET", `/j/login/qr/${code.uuid}`).catch(unless(404));
  const state = now?.state ?? "expired";
  if (!login && !OPEN.includes(state)) return newCode(); // the page has just been loaded
  showLogin(state, now);
  if (state === "confirmed") await claim();
}

async function claim() {
  // Without a response load() comes here again: the same key gets the same login.
  const claimed = await api("POST", "/j/login", { key: code.key }).catch(unless(400));
  keepCode();
  if (!claimed) return showLogin("expired"); // the login has ended already
  stream("renew");
  load.again = true;
}

async function newCode() {
  keepCode(await api("POST", "/j/login/qr"));
  showLogin("pending", code);
}

function keepCode(latest = null) {
  code = latest;
  sessionStorage.setItem("code", JSON.stringify(code));
}

function waiting() {
  return code && OPEN.includes(login);
}

function showLogin(state, code) {
  if (user) {
    stream("leave");
    forget();
  }
  user = ready = undefined;
  $("login").dataset.state = login = state;
  say("login-state", LOGIN[state]);
  if (code) {
    if ($("qr").getAttribute("src") !== code.qr) $("qr").src = code.qr;
    $("scan").href = code.scan_url;
    until = Date.now() + code.expires_in * 1000;
    showReach(new URL(code.scan_url).hostname);
  }
  show("login", "Log in");
  tick();
}

// A phone can't reach this computer under a name that means "this computer".
function showReach(host) {
  const local = ["localhost", "127.0.0.1", "[::1]"].includes(host);
  $("login").classList.toggle("local", local);
  say("login-title", local ? "Log in" : "Log in with your phone");
}

function tick() {
  if (login !== "pending" && login !== "scanned") return;
  const left = Math.max(0, Math.round((until - Date.now()) / 1000));
  $("countdown").textContent = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
}

async function showDesk(me) {
  if (user?.id !== me.user.id) {
    forget();
    paint($("face"), me.user.name);
    $("greeting").textContent = `Hello, ${me.user.name}`;
    stream("join");
  }
  const news = me.ready && !ready;
  [user, ready, login] = [me.user, me.ready, "out"];
  keepCode();
  show("desk", user.name);
  showFetching(me.fetching);
  if (news) await showContacts();
  showMessages((await api("GET", "/j/messages")).messages);
}

function forget() { // what belongs to an account must not stay in the page after its logout
  messages = [];
  showMessages([]);
  recipients.clear();
  showRecipients();
  $("list").replaceChildren();
  $("compose").reset();
  $("q").value = "";
}

function showFetching(progress) { // null: nothing is under way
  const { kind, done, total } = progress ?? {};
  $("fetching").hidden = Boolean(!progress && ready);
  $("progress").hidden = !progress;
  $("fetch").hidden = Boolean(progress);
  $("book").hidden = !ready;
  if (total) Object.assign($("progress"), { max: total, value: done });
  else $("progress").removeAttribute("value"); // it moves, but shows no amount
  const what = KINDS[kind] ?? "contacts";
  say("fetched", progress ? `Fetching your ${what} …` : "Your contacts could not be fetched.");
  $("counted").textContent = total ? `${done} of ${total}` : "";
  // A worker that is gone says nothing, but after a while the server no longer waits for it.
  clearTimeout(showFetching.timer);
  if (progress) showFetching.timer = setTimeout(load, 10_000);
}

function read(kind, page = 1) {
  return api("GET", `/j/${kind}?${new URLSearchParams({ q: $("q").value.trim(), page })}`);
}

async function showContacts() {
  const mine = (showContacts.latest = Symbol("or a slow answer replaces a later one"));
  const answers = await Promise.all(Object.keys(KINDS).map((kind) => read(kind)));
  if (mine !== showContacts.latest) return;
  Object.keys(KINDS).forEach((kind, n) => (lists[kind] = answers[n]));
  $("book").hidden = false;
  showList();
}

async function showMore() {
  const list = lists[kind], shown = list[kind];
  const more = await read(kind, list.page + 1);
  Object.assign(list, more, { [kind]: [...shown, ...more[kind]] });
  showList();
  focusOn($("list").querySelectorAll("input")[shown.length]);
}

function focusOn(box) {
  $("list").querySelector("[tabindex='0']").tabIndex = -1;
  box.tabIndex = 0;
  box.focus();
}

function showList() {
  for (const input of $("kinds").querySelectorAll("input")) {
    input.nextElementSibling.textContent = lists[input.value].total;
  }
  const { [kind]: items, page, pages, total } = lists[kind];
  $("list").replaceChildren(...items.map(({ id, name }, n) => {
    const item = copy("contact", name), box = item.querySelector("input");
    box.checked = recipients.has(id);
    box.tabIndex = n ? -1 : 0; // the list is one stop of the Tab key
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
  $("messages").replaceChildren(...messages.map(showMessage));
}

function showMessage({ from, to, text, at, attachment, attachment_name, mine }) {
  // The marks keep a name that runs from right to left from turning its neighbours around.
  const names = to.map((name) => `\u2068${name}\u2069`).join(", ");
  const item = copy("message", mine ? `To ${names}` : from, mine ? to.slice(0, 3) : [from]);
  const [time, body, link] = ["time", ".text", ".attachment"].map((part) => item.querySelector(part));
  time.dateTime = at;
  time.textContent = new Date(at).toLocaleString([], WHEN);
  body.textContent = text;
  if (!attachment) link.remove();
  else showAttachment(link, attachment, attachment_name ?? "Attachment");
  return item;
}

function showAttachment(link, url, name) {
  link.href = url;
  link.firstChild.textContent = name;
  if (!/\.(gif|jpe?g|png)$/.test(url)) return;
  const preview = new Image();
  Object.assign(preview, { src: url, alt: "", loading: "lazy" });
  link.prepend(preview);
}

async function send() {
  const [file] = $("file").files, text = $("text").value.trim();
  if (!recipients.size) return note("Choose who gets it: tick a name.");
  if (!text && !file) return note("Write something or attach a file.");
  const form = new FormData();
  form.append("file", file);
  const attachment = file ? (await api("POST", "/uploads", form)).filename : null;
  const message = { recipients: [...recipients.keys()], text };
  if (file) Object.assign(message, { attachment, attachment_name: file.name });
  // The same id for the same message: if there is no response, you can send it again, safely.
  const content = JSON.stringify(message);
  if (draft.content !== content) draft = { content, id: randomId() };
  showMessages([(await api("POST", "/j/messages", { id: draft.id, ...message })).message]);
  draft = {};
  $("compose").reset();
  note("Sent.");
}

function receive({ type, data }) {
  if (type === "lost") { // a short interruption is over before this is said
    lost ??= setTimeout(report, 3000, "stream", "The connection is lost. Trying again …");
    if (!load.failures) load(); // perhaps the login has ended
    return;
  }
  if (type === "open") {
    lost = clearTimeout(lost);
    report("stream", "");
  }
  if (type === "progress") return showFetching(data);
  if (type !== "message") {
    if (type === "contacts" || type === "reset") ready = undefined; // the lists are old
    if (data?.type === "failed") note("Your contacts could not be fetched.");
    load.everything = true;
    return load();
  }
  showMessages([data]);
  if (!data.mine) note(`New message from ${data.from}`);
}

on("new-code", "click", newCode);
on("logout", "click", async () => {
  await api("POST", "/j/logout");
  load();
});
on("fetch", "click", async () => {
  await api("POST", "/j/contacts");
  load();
});
on("more", "click", showMore);
on("list", "keydown", (event) => {
  const boxes = [...$("list").querySelectorAll("input")], at = boxes.indexOf(event.target);
  const moves = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: boxes.length - 1 };
  const box = boxes[moves[event.key]];
  if (!box) return;
  event.preventDefault();
  focusOn(box);
});
on("compose", "submit", send);
on("kinds", "change", ({ target }) => {
  kind = target.value;
  showList();
});
on("q", "input", () => {
  clearTimeout(typed);
  typed = setTimeout(() => showContacts().catch((error) => note(error.message)), 250);
});
setInterval(() => {
  tick();
  if (waiting() && !load.failures) load();
}, 1000);
document.addEventListener("visibilitychange", () => {
  if (document.hidden || user) return;
  load.everything = true;
  load();
});
load();
