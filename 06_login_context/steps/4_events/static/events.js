// Shows what the stream of events brings; the buttons show what it loses, and what it costs.

const $ = (id) => document.getElementById(id);
const urls = $("desk")?.dataset;
const streams = []; // the first one is the page's own
let newest = ""; // id of the last event, if this version has ids
let received = []; // numbers

async function ask(url, method = "GET") {
  const response = await fetch(url, { method, cache: "no-store" });
  if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
  return response.json();
}

function say(id, text, kind = "") {
  if ($(id).textContent !== text) $(id).textContent = text; // else it's read out again
  $(id).className = kind;
}

function show({ contacts, fetching }) {
  $("progress").max = fetching?.total ?? 1;
  $("progress").value = fetching ? (fetching.done ?? 0) : contacts ? 1 : 0;
  $("fetch").disabled = Boolean(fetching);
  if (contacts) $("fetch").textContent = "Fetch again";
  if (fetching) say("summary", fetching.total ? `${fetching.done} of ${fetching.total}` : "Sent to the worker.");
  else if (contacts) say("summary", `${Object.values(contacts).flat().length} contacts are here.`, "good");
  else say("summary", "Nothing has been fetched yet.");
}

const ended = "This login has ended.";
const failed = (error) => say("summary", `No answer: ${error.message}`, "bad");
const load = () => ask(urls.contacts).then(show).catch(failed);

function open() {
  // A browser that reconnects names its last event. A new EventSource can't, so the URL does.
  const source = new EventSource(`${urls.stream}?lastEventId=${newest}`);
  source.addEventListener("progress", ({ data }) => show({ fetching: JSON.parse(data) }));
  source.addEventListener("contacts", load);
  source.addEventListener("number", ({ data, lastEventId }) => { // from the buttons further down
    received.push(JSON.parse(data));
    newest = lastEventId;
  });
  // Only our version sends these two: the login has ended, or nobody knows what this page has missed.
  source.addEventListener("login", () => {
    source.close(); // or the browser would connect again
    say("summary", ended, "bad");
  });
  source.addEventListener("reset", load);
  source.onopen = load; // what happened before the first event
  source.onerror = async () => {
    say("summary", "The connection is lost.", "bad");
    if (source.readyState !== EventSource.CLOSED) return; // the browser tries again
    // After an error such as a 503 it doesn't, and an EventSource can't see which one it was.
    const { status } = await fetch(urls.stream, { method: "HEAD" }).catch(() => ({}));
    if (status === 401) return say("summary", ended, "bad");
    setTimeout(() => { if (streams[0] === source) streams[0] = open(); }, 5000);
  };
  return source;
}

async function until(isTrue, seconds = 3) {
  for (const end = Date.now() + seconds * 1000; !isTrue() && Date.now() < end; ) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const publish = (number) => ask(urls.publish.replace("/0", `/${number}`), "POST");

async function goAway() {
  received = [];
  await publish(1);
  await until(() => received.includes(1));

  streams[0].close();
  await publish(2);
  await publish(3);

  streams[0] = open();
  await until(() => streams[0].readyState === EventSource.OPEN);
  await publish(4);
  await until(() => received.includes(4));

  const body = $("numbers").tBodies[0];
  body.replaceChildren();
  for (const number of [1, 2, 3, 4]) {
    const row = body.insertRow();
    const here = received.includes(number);
    const cells = [number, number === 2 || number === 3 ? "away" : "there", here ? "yes" : "no"];
    for (const text of cells) row.insertCell().textContent = text;
    row.lastChild.className = here ? "good" : "bad";
  }
  $("numbers").hidden = false;
  const lost = [1, 2, 3, 4].filter((number) => !received.includes(number));
  if (lost.length) say("missed", `Lost: ${lost.join(" and ")}.`, "bad");
  else say("missed", "Nothing is lost.", "good");
}

async function count() {
  $("streams").textContent = streams.length;
  $("fewer").disabled = streams.length === 1;
  $("more").disabled = streams.length > 1; // a browser opens no more than six to one host
  await new Promise((resolve) => setTimeout(resolve, 1000)); // until all of them are open
  $("connections").textContent = (await ask(urls.connections)).connections;
}

function on(id, action) {
  $(id).addEventListener("click", async () => {
    $(id).disabled = true;
    await Promise.resolve(action()).catch(failed);
    if (id === "away") $(id).disabled = false;
    else count().catch(failed);
  });
}

if (urls) {
  streams.push(open());
  on("fetch", async () => {
    await ask(urls.contacts, "POST");
    show({ fetching: {} }); // the rest comes by event
  });
  on("away", goAway);
  on("more", () => { for (let i = 0; i < 4; i++) streams.push(new EventSource(urls.stream)); });
  on("fewer", () => streams.splice(1).forEach((stream) => stream.close()));
  $("away").disabled = false;
  count().catch(failed);
}
