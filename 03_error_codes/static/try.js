// Each control on the page describes a request in its attributes:
//   data-request="GET /j/nope"    method and URL
//   data-article="GET /j/other"   the same for the article's version, if it differs
//   data-json='{"a": 1}'          a JSON body
//   data-file="a.txt"             the name of a file that is uploaded as the field "file"
//   data-content="hello"          what is in that file
//   data-accept="text/html"       the Accept header
//   data-cookies                  also send cookies to another origin
// A click sends the request to both versions and shows the two responses below the control.

const PHRASES = {
  200: "OK", 201: "Created", 308: "Permanent Redirect", 400: "Bad Request", 403: "Forbidden",
  404: "Not Found", 405: "Method Not Allowed", 413: "Content Too Large",
  429: "Too Many Requests", 500: "Internal Server Error",
};
const KINDS = { 2: "success", 3: "redirect", 4: "client error", 5: "server error" };

function element(tag, properties, ...children) {
  const made = document.createElement(tag);
  Object.assign(made, properties);
  made.append(...children);
  return made;
}

// The request

function readRequest(control, isArticle) {
  const { request, article, json, file, content, accept, cookies } = control.dataset;
  const [method, path] = (isArticle && article ? article : request).split(" ");
  const url = new URL(path, location.href);
  if (isArticle) url.searchParams.set("version", "article");

  const headers = {};
  if (accept) headers["Accept"] = accept;
  if (json) headers["Content-Type"] = "application/json";
  let upload = null;
  if (file) upload = new File([content], file);
  if (control.type === "file") upload = control.files[0];

  return { isArticle, method, url, headers, json, upload, content, cookies: cookies !== undefined };
}

function isCrossOrigin(request) {
  return request.url.origin !== location.origin;
}

function shortURL(url) {
  return url.origin === location.origin ? url.pathname + url.search : url.href;
}

/** Return the request as text: its first line, then the headers and the body set by hand. */
function requestText(request) {
  const lines = [`${request.method} ${shortURL(request.url)}`];
  for (const name in request.headers) lines.push(`${name}: ${request.headers[name]}`);
  if (request.cookies) lines.push('credentials: "include"');
  if (request.upload) lines.push(`file: ${request.upload.name} (${request.upload.size} bytes)`);

  const body = request.json ?? request.content;
  if (body) lines.push("", body.trimEnd());
  return lines.join("\n");
}

function shellQuote(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** Return a line for a POSIX shell that sends the same request. */
function curlLine(request) {
  const words = ["curl -i"];
  if (request.method !== "GET") words.push(`-X ${request.method}`);
  for (const name in request.headers) {
    words.push("-H", shellQuote(`${name}: ${request.headers[name]}`));
  }
  // The browser adds this header itself, and the response depends on it.
  if (isCrossOrigin(request)) words.push("-H", shellQuote(`Origin: ${location.origin}`));
  if (request.json) words.push("--data-raw", shellQuote(request.json));

  if (request.upload) {
    const name = `"${request.upload.name.replace(/["\\]/g, "\\$&")}"`;
    if (request.content === undefined) {
      words.push("-F", shellQuote(`file=@${name}`));
    } else {
      const escaped = request.content
        .replaceAll("\\", "\\\\").replaceAll("%", "%%").replaceAll("\n", "\\n");
      words.unshift("printf", shellQuote(escaped), "|");
      words.push("-F", shellQuote(`file=@-;filename=${name}`));
    }
  }
  words.push(shellQuote(request.url.href));
  return words.join(" ");
}

// The response

async function send(request) {
  const options = { method: request.method, headers: request.headers, cache: "no-store" };
  if (request.cookies) options.credentials = "include";
  if (request.json) options.body = request.json;
  if (request.upload) {
    options.body = new FormData();
    options.body.append("file", request.upload);
  }

  try {
    const response = await fetch(request.url, options);
    const code = response.status;
    return {
      request,
      response,
      status: `${code} ${PHRASES[code] ?? response.statusText}`,
      kind: KINDS[Math.floor(code / 100)],
      body: await response.text(),
    };
  } catch {
    return { request, ...(await whyNoAnswer(request)) };
  }
}

/** Fetch throws the same error for a blocked response and for a missing server; tell them apart. */
async function whyNoAnswer({ method, url, headers, cookies }) {
  try {
    // In this mode the response stays hidden from the page, but we learn that there is one.
    if (url.origin === location.origin) throw new TypeError("There is nothing to block here.");
    await fetch(url.origin, { mode: "no-cors", cache: "no-store" });
  } catch {
    return {
      status: "No answer",
      kind: `the server at ${url.origin} isn't running`,
      body: "Start it, then click again.",
    };
  }

  const wasPreflighted = !["GET", "POST"].includes(method) || "Content-Type" in headers;
  if (wasPreflighted) {
    return {
      status: "Blocked by the browser",
      kind: `the preflight got no permission for ${method} from ${location.origin}`,
      body: "The browser asked first, with OPTIONS, so the request itself was never sent. "
        + "The console (F12) has the reason.",
    };
  }
  const withCookies = cookies ? " with cookies (for which * doesn't count)" : "";
  return {
    status: "Blocked by the browser",
    kind: `no Access-Control-Allow-Origin for ${location.origin}${withCookies}`,
    body: "The request was sent and the server responded, but the browser hides the response "
      + "from this page. The console (F12) has the reason.",
  };
}

// What the page shows

/** Return what the body holds as JSON, or undefined if it's something else. */
function readJSON(answer) {
  try {
    return JSON.parse(answer.body);
  } catch {
    return undefined;
  }
}

function bodyText(answer) {
  const value = readJSON(answer);
  if (value !== undefined) return JSON.stringify(value, null, 2);
  return answer.body.trimEnd() || "(The body is empty.)";
}

/** JSON objects are the same in any order of their keys, so put the keys in order. */
function sortKeys(value) {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (value === null || typeof value !== "object") return value;
  const sorted = {};
  for (const key of Object.keys(value).sort()) sorted[key] = sortKeys(value[key]);
  return sorted;
}

function haveSameBody(one, other) {
  const [left, right] = [readJSON(one), readJSON(other)];
  if (left === undefined || right === undefined) return one.body === other.body;
  return JSON.stringify(sortKeys(left)) === JSON.stringify(sortKeys(right));
}

function differs(name, answer, other) {
  if (name === "date" || !other.response) return false;
  return answer.response.headers.get(name) !== other.response.headers.get(name);
}

function showHeaders(answer, other) {
  const items = [];
  let different = 0;
  for (const [name, value] of answer.response.headers) {
    const item = element("li");
    if (differs(name, answer, other)) {
      different += 1;
      item.append(element("mark", {}, `≠ ${name}: ${value}`));
    } else {
      item.append(`${name}: ${value}`);
    }
    items.push(item);
  }

  // The browser shows a page only some headers of a response from another origin.
  const what = isCrossOrigin(answer.request) ? "headers that this page may see" : "headers";
  const count = different ? `${items.length} ${what}, ${different} differ` : `${items.length} ${what}`;
  return element("details", { className: "headers" },
    element("summary", {}, count), element("ul", {}, ...items));
}

function showActions(answer) {
  const { request, response } = answer;
  const curl = element("pre", { hidden: true }, curlLine(request));
  const copy = element("button", { type: "button" }, "Copy as curl");
  copy.addEventListener("click", async () => {
    curl.hidden = false;
    try {
      await navigator.clipboard.writeText(curl.textContent);
      copy.textContent = "Copied";
    } catch {
      copy.textContent = "Copy this line"; // The clipboard is closed to pages without HTTPS.
    }
  });

  const links = [];
  const location = response?.headers.get("Location");
  if (location) {
    const url = new URL(location, request.url);
    // The names that our version makes are too long to show: 64 hexadecimal digits.
    const path = url.pathname.replace(/[0-9a-f]{56}(?=\.)/, "…");
    links.push([`Open ${path}`, url]);
  } else if (request.method === "GET") {
    links.push(["Open in a new tab", request.url]);
  }
  const anchors = links.map(([text, url]) => {
    if (request.isArticle) url.searchParams.set("version", "article");
    return element("a", { href: url.href, target: "_blank", rel: "noopener" }, text);
  });
  return element("div", { className: "actions" }, copy, ...anchors, curl);
}

function showAnswer(answer, other) {
  const { request, response } = answer;
  const colour = response ? answer.kind.replace(" ", "-") : "no-answer";
  const status = element("p", { className: `status ${colour}` },
    element("strong", {}, answer.status), response ? ` (${answer.kind})` : `: ${answer.kind}`);

  const parts = [
    element("h3", {}, request.isArticle ? "As in the article" : "This chapter"),
    element("pre", { className: "request" }, requestText(request)),
    status,
  ];
  if (response) {
    const headers = element("div", {}, showHeaders(answer, other));
    if (response.redirected) {
      headers.prepend(element("p", {}, `Redirected to ${shortURL(new URL(response.url))}`));
    }
    parts.push(headers, element("pre", { className: "body" }, bodyText(answer)));
  } else {
    parts.push(element("p", { className: "why" }, answer.body));
  }
  return element("section", { className: "answer" }, ...parts, showActions(answer));
}

function compare(article, ours) {
  if (!article.response && !ours.response) return "This page can read neither response.";
  if (!article.response) return "This page can read only this chapter's response.";
  if (!ours.response) return "This page can read only the response of the article's version.";

  const names = [...article.response.headers.keys(), ...ours.response.headers.keys()];
  const sameHeaders = !names.some((name) => differs(name, article, ours));
  const sameStatus = article.status === ours.status;
  const sameBody = haveSameBody(article, ours);
  if (sameStatus && sameBody && sameHeaders) return "Same status and body in both versions.";
  if (sameStatus && sameBody) return "Same status and body in both versions; headers differ.";
  if (sameStatus) return "Same status, but the body differs.";
  if (sameBody) return "Same body, but the status differs.";
  return "Status and body differ.";
}

async function run(control) {
  const experiment = control.closest(".experiment");
  const answers = experiment.querySelector(".answers");
  const summary = experiment.querySelector(".summary");
  answers.ariaBusy = "true";

  const requests = [readRequest(control, true), readRequest(control, false)];
  const [article, ours] = await Promise.all(requests.map(send));

  answers.replaceChildren(showAnswer(article, ours), showAnswer(ours, article));
  answers.hidden = false;
  answers.ariaBusy = "false";
  summary.replaceChildren(
    element("span", { className: "unseen" },
      `As in the article: ${article.status}. This chapter: ${ours.status}. `),
    compare(article, ours));
  answers.focus({ preventScroll: true });
  experiment.scrollIntoView({ block: "nearest" });
}

for (const control of document.querySelectorAll("button[data-request]")) {
  control.addEventListener("click", () => run(control));
}
for (const control of document.querySelectorAll("input[data-request]")) {
  control.addEventListener("change", () => {
    if (control.files.length) run(control);
  });
}

// The headers of both responses unfold together, so that you can compare them.
document.addEventListener("toggle", ({ target }) => {
  if (!target.matches(".headers")) return;
  for (const headers of target.closest(".answers").querySelectorAll(".headers")) {
    headers.open = target.open;
  }
}, true);
