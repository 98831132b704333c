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

// Resolves to the JSON; rejects with an Error with `status` (0: no response) and `wait`, in
// seconds. Not fetch(), which can't tell how far an upload is: progress(0 to 1) hears that.
// With an account, it's a 401 if the cookie is another one's by now.
function api(method, url, body, progress, account) {
  const request = new XMLHttpRequest(), json = body && !(body instanceof FormData);
  request.open(method, url);
  request.responseType = "json"; // a proxy's 502 is HTML, and its response null
  if (json) request.setRequestHeader("Content-Type", "application/json");
  if (account) request.setRequestHeader("X-Account", encodeURIComponent(account));
  if (progress) request.upload.onprogress = ({ loaded, total }) => progress(loaded / total);

  return new Promise((resolve, reject) => {
    request.onerror = () => reject(failure(0));
    request.onload = () => {
      const { status, statusText, response } = request;
      if (status < 400 && response) return resolve(response);
      const msg = response?.msg ?? statusText; // a text, or the errors of each field
      const text = typeof msg === "object" ? Object.values(msg).flat().join(" ") : msg;
      reject(failure(status, text, Number(request.getResponseHeader("Retry-After"))));
    };
    request.send(json ? JSON.stringify(body) : body);
  });
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

function copy(template, name) { // of a <template>, with a name and its face
  const item = $(template).content.firstElementChild.cloneNode(true);
  item.querySelector("bdi").textContent = name;
  const avatar = item.querySelector(".avatar");
  if (avatar) paint(avatar, name);
  return item;
}

function paint(avatar, name) { // the first letter, in a colour of the name's own
  avatar.textContent = [...new Intl.Segmenter().segment(name.trim())][0]?.segment ?? "";
  const hue = [...name].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 360, 7);
  avatar.style.setProperty("--hue", hue);
}

// Fills an element with a text whose links can be clicked. Only http and https become one, without
// the punctuation behind them; all the rest stays text, whatever HTML it may look like.
function write(element, text) {
  const link = /(https?:\/\/[^\s<>"“”，。、！？；：（）]*[\p{L}\p{N}/=&#_-])/iu;
  element.replaceChildren(...text.split(link).map((part, n) => {
    if (n % 2 === 0) return part;
    const properties = { href: part, textContent: part, target: "_blank", rel: "noopener" };
    return Object.assign(document.createElement("a"), properties);
  }));
}

function randomId() { // crypto.randomUUID() needs HTTPS
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function show(id) {
  if (!$(id).hidden) return;
  const focused = document.activeElement !== document.body; // on what disappears now
  for (const part of document.querySelectorAll("main > section")) part.hidden = part.id !== id;
  if (focused) $(id).querySelector("h1").focus();
}
