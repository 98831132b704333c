// "changed" is the article's entry of the proxy table, "kept" is this chapter's.
function show(id, text) {
  document.getElementById(id).textContent = text;
}

async function compare(column, prefix) {
  const response = await fetch(`${prefix}/j/echo/`, { method: "POST" });
  const seen = await response.json();
  for (const key of ["host", "url", "origin"]) show(`${column}-${key}`, seen[key]);

  try {
    // Without its trailing slash, Flask redirects this URL to the one that has it.
    const redirected = await fetch(`${prefix}/j/echo`);
    show(`${column}-redirect`, `followed to ${redirected.url}`);
  } catch (error) {
    show(`${column}-redirect`, `left this origin: ${error.message}`);
  }
}

async function upload() {
  const body = new FormData();
  body.append("file", new File(["hello through the proxy"], "hello.txt"));
  const stored = await fetch("/uploads", { method: "POST", body });
  const { url } = await stored.json();
  const file = await fetch(url);
  show("upload", await file.text());
}

await Promise.all([compare("kept", ""), compare("changed", "/changed"), upload()]);
