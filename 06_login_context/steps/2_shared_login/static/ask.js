// "Ask ten times": sends ten requests and counts, for each process, whom it knows.

const button = document.getElementById("ask");
const table = document.getElementById("answers");
const summary = document.getElementById("summary");

async function ask() {
  const response = await fetch(button.dataset.url, { cache: "no-store" });
  if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
  return response.json();
}

function show(answers) {
  const counts = new Map(); // by what one row of the table says
  for (const { process, name } of answers) {
    const row = JSON.stringify([process, name ?? "nobody"]);
    counts.set(row, (counts.get(row) ?? 0) + 1);
  }

  const body = table.tBodies[0];
  body.replaceChildren();
  for (const [row, count] of [...counts].sort()) {
    const [process, name] = JSON.parse(row);
    const cells = body.insertRow();
    for (const text of [process, count, name]) cells.insertCell().textContent = text;
  }
  table.hidden = false;

  const names = new Set(answers.map(({ name }) => name));
  const processes = new Set(answers.map(({ process }) => process));
  if (names.size > 1) {
    say("The processes disagree about who you are.", "bad");
  } else if (processes.size === 1) {
    say("Only one process has responded. Ask again.", "hint");
  } else {
    say("The processes agree.", "good");
  }
}

function say(text, className) {
  summary.textContent = text;
  summary.className = className;
}

button.addEventListener("click", async () => {
  button.disabled = true;
  try {
    show(await Promise.all(Array.from({ length: 10 }, ask)));
  } catch (error) {
    table.hidden = true;
    say(`It failed: ${error.message}`, "bad");
  }
  button.disabled = false;
});
