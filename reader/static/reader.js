// The live parts of a page: cards, exercises, ticks. Everything else is plain HTML.
"use strict";

const page = document.body.dataset.page;
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

async function post(path, values) {
  const response = await fetch(`/-/${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ page, ...values }),
  });
  if (!response.ok) throw new Error(`The reader says: ${response.status}. Load the page again.`);
  return response;
}

/** Run *task* with *button* off and old results dimmed, and tell in *status* what goes wrong. */
async function busy(button, status, text, task) {
  button.disabled = true;
  const whole = button.closest(".card, .exercise");
  whole?.setAttribute("aria-busy", "true");
  status.classList.remove("wrong");
  status.textContent = text;
  try {
    await task();
  } catch (error) {
    status.classList.add("wrong");
    status.textContent =
      error instanceof TypeError ? "The reader doesn't answer. Is it still running?" : error.message;
  }
  button.disabled = false;
  whole?.setAttribute("aria-busy", "false");
}

// Copying

async function copy(button, text) {
  await navigator.clipboard.writeText(text);
  const name = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = name), 1500);
}

document.addEventListener("click", ({ target }) => {
  if (target.matches("button.copy[data-copy]")) copy(target, target.dataset.copy);
});

// Ticks: which cards of which page were run, kept in this browser

const ran = () => JSON.parse(localStorage.getItem("ran") ?? "{}");

function remember(number) {
  const pages = ran();
  pages[page] = [...new Set([...(pages[page] ?? []), number])];
  localStorage.setItem("ran", JSON.stringify(pages));
  showTicks();
}

function showTicks() {
  const pages = ran();
  for (const link of all("[data-cards]")) {
    const done = pages[link.dataset.of] ?? [];
    const complete = link.dataset.cards.split(" ").every((number) => done.includes(+number));
    link.classList.toggle("done", complete);
    link.title = complete ? "You have run this" : "";
  }
  for (const small of all("[data-progress]")) {
    const total = +small.dataset.total;
    const done = (pages[small.dataset.progress] ?? []).filter((number) => number <= total).length;
    small.textContent = done ? `${done} of ${total} run` : "";
  }
}

// Requests that a page sends itself: ours, or the stranger's in a frame

let frame;

async function stranger(origin) {
  if (!frame) {
    frame = document.createElement("iframe");
    frame.hidden = true;
    frame.title = "A stranger's page";
    frame.sandbox = "allow-scripts allow-same-origin"; // with its own origin, or it would have none
    frame.src = `${origin}/`;
    document.body.append(frame);
    await new Promise((loaded) => frame.addEventListener("load", loaded, { once: true }));
  }
  return frame.contentWindow;
}

let messages = 0;

async function fetchAsStranger(origin, request) {
  const there = await stranger(origin);
  const id = ++messages;
  const answer = new Promise((resolve) => {
    addEventListener("message", function listen({ origin: from, source, data }) {
      if (from !== origin || source !== there || data.id !== id) return;
      removeEventListener("message", listen);
      resolve(data.answer);
    });
  });
  there.postMessage({ id, ...request }, origin);
  return answer;
}

async function fetchHere({ url, options }) {
  try {
    const response = await fetch(url, options);
    const headers = [...response.headers.keys()];
    return { status: response.status, headers, body: await response.text() };
  } catch {
    return {};
  }
}

function pretty(body) {
  try {
    return JSON.stringify(JSON.parse(body), null, 2);
  } catch {
    return body.length > 300 ? `${body.slice(0, 300)}…` : body;
  }
}

function showRead(cell, { status, headers, body }) {
  const strong = document.createElement("strong");
  strong.textContent = status ? `the response: ${status}` : "nothing";
  cell.replaceChildren(strong);
  if (!status) return;
  const small = document.createElement("small");
  small.textContent = ` with ${headers.join(", ") || "no headers"}`;
  const pre = document.createElement("pre");
  pre.textContent = pretty(body);
  cell.append(small, pre);
}

/** Send a request from a page to both versions, and show what arrived and what the page may read. */
async function showFetches(row) {
  const { origin } = row.dataset;
  for (const [version, { url, options }] of Object.entries(JSON.parse(row.dataset.fetch))) {
    const before = await (await post("arrived", {})).json();
    const request = { url, options: { ...options, cache: "no-store", mode: "cors" } };
    const send = origin === location.origin ? fetchHere : (one) => fetchAsStranger(origin, one);
    const answer = await send(request);
    const after = await (await post("arrived", { [version]: before[version].mark })).json();
    row.querySelector(`[data-arrived=${version}]`).textContent =
      after[version].arrived.join("\n") || "nothing";
    showRead(row.nextElementSibling.querySelector(`[data-read=${version}]`), answer);
  }
}

// Cards

for (const card of all(".card")) {
  const [commands, edit] = [card.querySelector(".commands"), card.querySelector(".edit")];
  const [run, change, copyButton] = all(".buttons button", card);
  const [said, results] = [card.querySelector(".said"), card.querySelector(".results")];
  const number = +card.dataset.card;
  const areas = all("textarea", edit);
  const live = () => areas.map((area) => [area.name, area.value]);
  let ofTheBook = ["", ""]; // the results of the request as it stands in the book, and the line on them

  const show = (html) => {
    results.innerHTML = html; // the reader's own HTML; its policy allows no scripts
    card.classList.toggle("ran", html !== "");
  };
  const fit = (area) => {
    area.style.height = "auto";
    area.style.height = `${area.scrollHeight + 2}px`; // with its border
  };
  for (const area of areas) area.addEventListener("input", () => fit(area));

  run.addEventListener("click", () =>
    busy(run, said, "Sending …", async () => {
      const values = edit.hidden ? {} : { commands: Object.fromEntries(live()) };
      const response = await post("run", { card: number, ...values });
      show(await response.text());
      for (const row of all("[data-fetch]", results)) await showFetches(row); // one log, so in turn
      said.textContent = results.querySelector("p.said").textContent;
      card.scrollIntoView({ block: card.offsetHeight < innerHeight ? "nearest" : "start" });
      if (!edit.hidden) return;
      ofTheBook = [results.innerHTML, said.textContent];
      remember(number);
    }),
  );

  change.addEventListener("click", () => {
    const editing = edit.hidden;
    edit.hidden = !editing;
    commands.hidden = editing;
    change.textContent = editing ? "As in the book" : "Edit";
    change.setAttribute("aria-expanded", editing);
    run.textContent = editing ? "Send" : "Run";
    if (editing) {
      areas.forEach(fit);
      areas[0].focus();
    } else {
      edit.reset();
      show(ofTheBook[0]);
      said.textContent = ofTheBook[1];
    }
  });

  copyButton.addEventListener("click", () => copy(copyButton, live().map(([, text]) => text).join("\n")));

  // Ctrl-Enter sends what's edited, as Enter is for another line.
  edit.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run.click();
  });
}

// Exercises

for (const form of all("form.exercise")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const [button, status] = [form.querySelector(".check"), form.querySelector("[role=status]")];
    const predicted = all("input:checked", form).map((input) => +input.value);
    busy(button, status, "Checking: sending the requests and running the tests …", async () => {
      const response = await post("check", { exercise: +form.dataset.exercise, predicted });
      form.querySelector(".checked").innerHTML = await response.text();
      status.textContent = "Checked.";
    });
  });
}

// Contents

const menu = document.querySelector("#menu");
menu.addEventListener("click", () =>
  menu.setAttribute("aria-expanded", menu.getAttribute("aria-expanded") !== "true"),
);

const restart = document.querySelector("#restart");
restart?.addEventListener("click", () => {
  const status = document.querySelector("#restarted");
  busy(restart, status, "", async () => {
    await post("restart", {});
    status.textContent = "Started.";
  });
});

showTicks();
