// Asks once a second how far the fetch is; the buttons start one and kill what works on it.

const $ = (id) => document.getElementById(id);
const url = $("task")?.dataset.contacts;
let before; // the last response
let killed; // the process that a button has killed

function describe({ contacts, fetching, queue }) {
  const lost = before?.fetching && !fetching && contacts?.at === before.contacts?.at;
  if (lost) return ["bad", "Nobody works on this fetch any more. Its task is lost."];
  if (fetching && killed && fetching.process === killed) {
    return queue.waiting + queue.unacknowledged
      ? ["good", `Process ${killed} is dead, but Redis still has its task. The next process will start anew.`]
      : ["bad", `Process ${killed} is dead, and Redis doesn't have its task any more.`];
  }
  if (fetching?.total) {
    return ["", `${fetching.done} of ${fetching.total}, fetched by process ${fetching.process}.`];
  }
  if (fetching) return ["", "Sent to the worker."];
  if (contacts) {
    const { names, at } = contacts;
    const time = new Date(at * 1000).toLocaleTimeString();
    return ["good", `${names.length} contacts, fetched at ${time}: ${names.slice(2, 5).join(", ")} …`];
  }
  return ["", "Nothing has been fetched yet."];
}

function show(state) {
  const { contacts, fetching, queue } = state;
  const [kind, text] = describe(state);
  if ($("summary").textContent !== text) $("summary").textContent = text; // else it's read again
  $("summary").className = kind;
  $("progress").max = fetching?.total ?? 1;
  $("progress").value = fetching ? (fetching.done ?? 0) : contacts ? 1 : 0;
  $("fetch").disabled = Boolean(fetching);
  $("fetch").textContent = contacts ? "Fetch again" : "Fetch my contacts";
  const canKill = fetching?.process && fetching.process !== killed;
  for (const button of document.querySelectorAll("[data-kill]")) button.disabled = !canKill;
  for (const name of ["waiting", "unacknowledged"]) $(name).textContent = queue[name];
  // What was lost stays on the page until the next fetch.
  if (kind !== "bad" || fetching) before = state;
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
    button.addEventListener("click", () => {
      killed = before.fetching.process;
      ask(button.dataset.kill, "POST");
    });
  }
  ask(url);
  setInterval(ask, 1000, url);
}
