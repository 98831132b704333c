const show = (id, text) => (document.getElementById(id).textContent = text);

async function compare(column, prefix) {
  const seen = await (await fetch(`${prefix}/j/echo/`, { method: "POST" })).json();
  for (const key of ["host", "url", "origin"]) show(`${column}-${key}`, seen[key]);
  try {
    // Without the slash at its end, Flask redirects to the address that has one.
    const answer = await fetch(`${prefix}/j/echo`);
    show(`${column}-redirect`, `followed to ${answer.url}`);
  } catch (error) {
    show(`${column}-redirect`, `left this origin: ${error.message}`);
  }
}

async function upload() {
  const body = new FormData();
  body.append("file", new File(["hello through the proxy"], "hello.txt"));
  const { url } = await (await fetch("/uploads", { method: "POST", body })).json();
  show("upload", await (await fetch(url)).text());
}

await Promise.all([compare("kept", ""), compare("changed", "/changed"), upload()]);
