// Asks once a second what has become of the code, and claims the login once a phone has confirmed.

const code = document.getElementById("code");
const $ = (id) => document.getElementById(id);
const TEXTS = {
  pending: "Waiting for a phone.",
  scanned: "A phone has opened the link. Confirm there.",
  confirmed: "Confirmed. Logging in …",
  cancelled: "Cancelled on the phone. Reload this page for a new code.",
  expired: "This code has expired. Reload this page for a new one.",
};

async function ask() {
  const response = await fetch(code.dataset.state, { cache: "no-store" });
  const { state, left } = await response.json();
  const valid = left && state !== "confirmed" ? ` The code is valid for ${left} s.` : "";
  $("state").textContent = TEXTS[state] + valid;
  if (state === "confirmed") return claim();
  if (state === "pending" || state === "scanned") setTimeout(poll, 1000);
}

async function claim() {
  const body = new URLSearchParams({ key: code.dataset.key });
  const response = await fetch(code.dataset.login, { method: "POST", body });
  const { name } = await response.json();
  $("name").textContent = name;
  code.hidden = true;
  $("greeting").hidden = false;
}

// Without a response, it asks again; the same key gets the same login.
function poll() {
  ask().catch(() => {
    $("state").textContent = "No response. Trying again …";
    setTimeout(poll, 3000);
  });
}

async function confirm([account, name]) {
  const body = new URLSearchParams({ account, action: "confirmed" });
  const response = await fetch($("link").href, { method: "POST", body });
  return [`${name}’s`, response.ok ? "Confirmed" : "Too late"];
}

// What two phones send whose owners tap "Confirm" at the same moment.
async function race() {
  $("race").disabled = true;
  const phones = Object.entries({ ada: "Ada", lin: "林徽因" });
  const told = await Promise.all(phones.map(confirm));
  const rows = $("phones").querySelector("tbody");
  for (const cells of told) {
    const row = rows.insertRow();
    for (const text of cells) row.insertCell().textContent = text;
  }
  const both = told.every(([, text]) => text === "Confirmed");
  $("verdict").textContent = both
    ? "Both believe that they have logged this page in."
    : "One of them was told that it came too late.";
  $("verdict").className = both ? "bad" : "good";
  $("phones").hidden = false;
}

if (code) {
  poll();
  $("race").addEventListener("click", race);
}
