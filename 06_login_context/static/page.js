// What any page like this one needs: to ask, to tell, to copy a template.
const $ = (id) => document.getElementById(id);
const FAILURES = {
  0: "The server does not answer.",
  401: "You are logged out.",
  413: "This file is too large.",
  507: "The server has no room for this file.",
  503: "The server is not available at the moment.",
};

function failure(status, text, wait) {
  return Object.assign(new Error(FAILURES[status] ?? text), { status, wait: wait || 3 });
}

// Returns the JSON; throws an Error with `status` (0: no response) and `wait`, in seconds.
async function api(method, url, body) {
  const json = body && !(body instanceof FormData);
  const request = { method, body: json ? JSON.stringify(body) : body };
  if (json) request.headers = { "Content-Type": "application/json" };

  let response;
  try {
    response = await fetch(url, request);
  } catch {
    throw failure(0);
  }
  const data = await response.json().catch(() => ({})); // a proxy's 502 is HTML
  if (response.ok) return data;

  const { msg = response.statusText } = data; // a text, or the errors of each field
  const text = typeof msg === "object" ? Object.values(msg).flat().join(" ") : msg;
  throw failure(response.status, text, Number(response.headers.get("Retry-After")));
}

const unless = (status) => (error) => { // api(...).catch(unless(404)): undefined for a 404
  if (error.status !== status) throw error;
};

function say(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text; // else it is read out again
}

function note(text) {
  say("note", text);
  clearTimeout(note.timer);
  note.timer = setTimeout(say, 6000, "note", "");
}

function on(id, event, action) { // one at a time; what goes wrong is said
  let running;
  $(id).addEventListener(event, async (details) => {
    if (event === "submit") details.preventDefault();
    if (running) return;
    running = true;
    try {
      await action(details);
    } catch (error) {
      note(error.message);
      if (error.status === 401) load();
    }
    running = false;
  });
}

// A copy of a <template>, with a name and, in their colours, the initials of one face or more.
function copy(template, name, faces = [name]) {
  const item = $(template).content.firstElementChild.cloneNode(true);
  item.querySelector("bdi").textContent = name;
  const group = item.querySelector(".avatars");
  for (const face of group ? faces : []) {
    const avatar = document.createElement("span");
    avatar.className = "avatar";
    group.append(avatar);
  }
  item.querySelectorAll(".avatar").forEach((avatar, n) => paint(avatar, faces[n]));
  return item;
}

function paint(avatar, name) {
  const words = name.trim().split(/\s+/);
  const firsts = words.map((word) => [...new Intl.Segmenter().segment(word)][0]?.segment ?? "");
  const capitals = firsts.filter((first) => first !== first.toLowerCase());
  avatar.textContent = capitals.slice(0, 2).join("") || firsts[0];
  const hue = [...name].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 360, 7);
  avatar.style.setProperty("--hue", hue);
}

function randomId() { // crypto.randomUUID() needs HTTPS
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function show(id, title) {
  document.title = `${title} · Chat desk`;
  if (!$(id).hidden) return;
  const focused = document.activeElement !== document.body; // on what disappears now
  for (const part of document.querySelectorAll("main > section")) part.hidden = part.id !== id;
  if (focused) $(id).querySelector("h1").focus();
}
