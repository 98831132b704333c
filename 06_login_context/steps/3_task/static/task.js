// Asks once a second how far the fetch is; the buttons start one and kill what works on it.

const $ = (id) => document.getElementById(id);
const url = $("task")?.dataset.contacts;

function describe({ contacts, fetching, process, killed, waiting, unacknowledged }) {
  if (fetching && killed) {
    return waiting + unacknowledged
      ? ["good", `Process ${process} is dead, but Redis still has its task. The next process will start anew.`]
      : ["bad", `Process ${process} is dead, and Redis doesn't have its task any more.`];
  }
  if (fetching?.total) return ["", `${fetching.done} of ${fetching.total}, fetched by process ${process}.`];
  if (fetching) return ["", "Sent to the worker."];
  if (contacts) return ["good", `${Object.values(contacts).flat().length} contacts are here.`];
  return ["", "Nothing has been fetched yet."];
}

function show(state) {
  const { contacts, fetching, process, killed } = state;
  const [kind, text] = describe(state);
  if ($("summary").textContent !== text) $("summary").textContent = text; // else it's read again
  $("summary").className = kind;
  $("progress").max = fetching?.total ?? 1;
  $("progress").value = fetching ? (fetching.done ?? 0) : contacts ? 1 : 0;
  // Where nobody works on it any more, nothing forbids another fetch.
  $("fetch").disabled = Boolean(fetching) && kind !== "bad";
  $("fetch").textContent = contacts ? "Fetch again" : "Fetch my contacts";
  for (const button of document.querySelectorAll("[data-kill]")) {
    button.disabled = !fetching || !process || killed;
  }
  for (const name of ["waiting", "unacknowledged"]) $(name).textContent = state[name];
}

async function ask(url, method = "GET") {
  try {
    const response = await fetch(url, { method, cache: "no-store" });
    if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
    show(await response.json());
  } catch (error) {
    $("summary").textContent = `No answer: ${error.message}`;
    $("summary").className = "bad";
  }
}

if (url) {
  $("fetch").addEventListener("click", () => ask(url, "POST"));
  for (const button of document.querySelectorAll("[data-kill]")) {
    button.addEventListener("click", () => ask(button.dataset.kill, "POST"));
  }
  ask(url);
  setInterval(ask, 1000, url);
}
