// The page asks the server how things are and shows that; an event says that something has
// changed. So a reload, a lost event and another tab need no code of their own.
const KINDS = { users: "friends", groups: "groups", mps: "official accounts" };
const LOGIN = {
  pending: "Waiting for you to confirm.",
  scanned: "The link is open: confirm there. Closed by mistake? Just open it again.",
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
let lost, typed; // timers
let kind = "users", lists = {}; // the tab; kind -> {items, page, pages, total}
let recipients = new Map(); // id -> name
let draft; // {id, user, text, to}: the message that is being written, also after a reload
let older; // where the messages before those on the page begin; null: there are none

function report(what, text) {
  const before = trouble.server || trouble.stream;
  trouble[what] = text;
  say("connection", trouble.server || trouble.stream || "");
  if (before && !$("connection").textContent) note("Connected again.");
}

// Asks as the account that the page shows. If it shows another one by the time the answer comes,
// nobody must see that.
async function ask(method, url, body, progress) {
  const asked = user?.id, answer = await api(method, url, body, progress, asked);
  if (user?.id !== asked) throw failure(401);
  return answer;
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
  const me = alone ? {} : await api("GET", "j/login");
  if (me.user) return showDesk(me);
  if (user) return showLogin("out");
  if (login === "out") return;
  if (!code) return newCode();

  const now = await api("GET", `j/login/qr/${code.uuid}`).catch(unless(404));
  const state = now?.state ?? "expired";
  if (!login && !OPEN.includes(state)) return newCode(); // the page has just been loaded
  showLogin(state, now);
  if (state === "confirmed") await claim();
}

async function claim() {
  // Without a response load() comes here again: the same key gets the same login.
  const claimed = await api("POST", "j/login", { key: code.key }).catch(unless(400));
  keepCode();
  if (!claimed) return showLogin("expired"); // the login has ended already
  stream("renew");
  load.again = true;
}

async function newCode() {
  keepCode(await api("POST", "j/login/qr"));
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
    lost = clearTimeout(lost); // the stream has ended, but nobody needs it
    trouble.stream = "";
    forget();
  }
  user = ready = undefined;
  sessionStorage.removeItem("draft");
  $("login").dataset.state = login = state;
  say("login-state", LOGIN[state]);
  if (code && OPEN.includes(state)) {
    if ($("qr").getAttribute("src") !== code.qr) $("qr").src = code.qr;
    $("scan").href = code.scan_url;
    until = Date.now() + code.expires_in * 1000;
    showReach(new URL(code.scan_url).hostname);
  } else $("scan").removeAttribute("href");
  show("login");
  showTitle();
  tick();
}

// A phone can't reach this computer under a name that means "this computer".
function showReach(host) {
  const local = ["localhost", "127.0.0.1", "[::1]"].includes(host);
  $("login").classList.toggle("local", local);
}

function tick() {
  if (login !== "pending" && login !== "scanned") return;
  const left = Math.max(0, Math.round((until - Date.now()) / 1000));
  $("countdown").textContent = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
}

async function showDesk(me) {
  if (user?.id !== me.user.id) {
    stream(user ? "renew" : "join"); // the one that's there is another account's
    forget();
    [user, ready] = [me.user, undefined];
    paint($("face"), user.name);
    $("greeting").textContent = `Hello, ${user.name}`;
    takeUpDraft();
  }
  const news = me.ready && !ready;
  [ready, login] = [me.ready, "out"];
  keepCode();
  show("desk");
  showFetching(me.fetching);
  if (news) await showContacts();
  await showNewest();
}

function forget() { // what belongs to an account must not stay in the page after its logout
  $("messages").replaceChildren();
  $("list").replaceChildren();
  recipients.clear();
  showRecipients();
  older = undefined;
  $("compose").reset();
  $("q").value = "";
}

function showTitle() {
  if (!document.hidden) {
    for (const item of document.querySelectorAll(".unread")) item.classList.remove("unread");
  }
  const unread = document.querySelectorAll(".unread").length;
  document.title = `${unread ? `(${unread}) ` : ""}${user?.name ?? "Log in"} · Chat desk`;
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
  return ask("GET", `j/${kind}?${new URLSearchParams({ q: $("q").value.trim(), page })}`);
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
    box.value = id;
    box.checked = recipients.has(id);
    box.tabIndex = n ? -1 : 0; // the list is one stop of the Tab key
    box.onchange = () => choose(id, box.checked && name);
    return item;
  }));
  say("found", total ? `${items.length} of ${total}` : "Nothing found.");
  $("more").hidden = page >= pages;
}

function showRecipients() {
  for (const box of $("list").querySelectorAll("input")) box.checked = recipients.has(box.value);
  $("recipients").replaceChildren(...[...recipients].map(([id, name]) => {
    const item = copy("recipient", name), remove = item.querySelector("button");
    remove.ariaLabel = `Remove ${name}`;
    remove.onclick = () => {
      choose(id);
      ($("recipients").querySelector("button") ?? $("text")).focus();
    };
    return item;
  }));
}

function choose(id, name) { // without a name: no longer
  if (name) recipients.set(id, name);
  else recipients.delete(id);
  showRecipients();
  keepDraft();
}

// After each change it's another message, so it has another id: what is sent again with the same
// id, because no response has come, arrives once.
function keepDraft() {
  draft = { id: randomId(), user: user.id, text: $("text").value, to: [...recipients] };
  sessionStorage.setItem("draft", JSON.stringify(draft));
}

function takeUpDraft() {
  draft = JSON.parse(sessionStorage.getItem("draft"));
  if (draft?.user !== user.id) return keepDraft();
  $("text").value = draft.text;
  recipients = new Map(draft.to);
  showRecipients();
}

// Two senders may choose the same id.
const idOf = ({ id, from_id }) => `m-${from_id}-${id}`;

async function showNewest() {
  const page = await ask("GET", "j/messages?per_page=20");
  const first = older === undefined;
  const overlap = page.messages.some((message) => $(idOf(message)));
  if (first || !overlap) { // otherwise those between them would be missing
    $("messages").replaceChildren();
    older = page.older;
  }
  showMessages(page.messages, !first);
}

async function showOlder() {
  const page = await ask("GET", `j/messages?per_page=20&before=${older}`);
  older = page.older;
  const last = $("messages").lastElementChild;
  showMessages(page.messages, false);
  last.nextElementSibling?.focus(); // the button may have gone
}

function showMessages(messages, arrived) { // those that are not there yet, where they belong
  for (const message of messages) {
    if ($(idOf(message))) continue;
    const item = showMessage(message), others = [...$("messages").children];
    item.classList.toggle("unread", arrived && !message.mine);
    const next = others.find(({ dataset }) => dataset.at < message.at);
    $("messages").insertBefore(item, next ?? null);
  }
  $("older").hidden = !older;
  showTitle();
}

function showMessage(message) {
  const { id, from_id, at, attachment, attachment_name, mine } = message;
  const { from = String(from_id), to = [], text = "" } = message; // another program may have sent it
  // The marks keep a name that runs from right to left from turning its neighbours around.
  const names = mine && to.map((name) => `\u2068${name}\u2069`).join(", ");
  const file = attachment && `uploads/${attachment}`;
  const item = copy("message", mine ? `To ${names}` : from);
  const part = (selector) => item.querySelector(selector);
  item.id = idOf({ id, from_id });
  item.dataset.at = part("time").dateTime = at;
  item.className = mine ? "mine" : "theirs";
  part("time").textContent = new Date(at).toLocaleString([], WHEN);
  write(part(".text"), text);

  const picture = /\.(gif|jpe?g|png)$/.test(attachment);
  if (picture) Object.assign(part("img"), { src: file, alt: attachment_name ?? "Picture" });
  for (const link of item.querySelectorAll(".picture, .attachment")) link.href = file;
  // The file's own name is the hash of its content.
  part(".attachment").download = attachment_name ?? "";
  part(".attachment").textContent = attachment_name || "Attachment";
  if (!picture) part(".picture").remove();
  if (!attachment) part(".attachment").remove();

  part("button").ariaLabel = `Reply to ${from}`;
  part("button").onclick = () => {
    recipients.clear();
    choose(from_id, from);
    $("text").focus();
  };
  if (mine || !from_id) part("button").remove();
  return item;
}

async function send() {
  const [file] = $("file").files, text = $("text").value.trim();
  if (!recipients.size) return note("Choose who gets it: tick a name.");
  if (!text && !file) return note("Write something or attach a file.");
  const message = { id: draft.id, recipients: [...recipients.keys()], text };
  $("parts").disabled = true; // what is changed now would be neither sent nor kept
  try {
    if (file) {
      const form = new FormData();
      form.append("file", file);
      $("sending").hidden = false;
      const progress = (part) => ($("sending").value = part);
      message.attachment = (await ask("POST", "uploads", form, progress)).filename;
      message.attachment_name = file.name;
    }
    const sent = await ask("POST", "j/messages", message);
    $("compose").reset();
    recipients.clear();
    showRecipients();
    keepDraft();
    showMessages([sent.message], false);
    note("Sent.");
  } finally {
    $("sending").hidden = true;
    $("parts").disabled = false;
    $("text").focus();
  }
}

function receive({ type, data }) {
  if (type === "lost") {
    if (!user) return; // without a login there is no stream
    // A short interruption is over before this is said.
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
  showMessages([data], true);
  if (!data.mine) note(`New message from ${data.from}`);
}

on("new-code", "click", newCode);
on("logout", "click", async () => {
  await api("POST", "j/logout", null, null, user.id);
  load();
});
on("fetch", "click", async () => {
  await ask("POST", "j/contacts");
  load();
});
on("more", "click", showMore);
on("older", "click", showOlder);
on("list", "keydown", (event) => {
  const boxes = [...$("list").querySelectorAll("input")], at = boxes.indexOf(event.target);
  const moves = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: boxes.length - 1 };
  const box = boxes[moves[event.key]];
  if (!box) return;
  event.preventDefault();
  focusOn(box);
});
on("compose", "submit", send);
on("text", "input", keepDraft);
on("text", "keydown", ({ key, ctrlKey, metaKey }) => {
  if (key === "Enter" && (ctrlKey || metaKey)) $("compose").requestSubmit();
});
on("file", "change", () => {
  const [file] = $("file").files;
  if (file?.size > Number($("file").dataset.limit)) {
    $("file").value = "";
    note(`${file.name} is too large. ${$("limit").textContent}.`);
  }
  keepDraft();
});
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
  showTitle();
  if (document.hidden || user) return;
  load.everything = true;
  load();
});
showReach(location.hostname);
load();
