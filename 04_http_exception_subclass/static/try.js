// A button names a request; this sends it and shows it with its answer.
//   data-send="PUT /j/echo/"                 method and URL
//   data-json='{"a": 1}'                     a JSON body
//   data-file="a.txt" data-content="hello"   a file to upload, as field "file"
//   data-accept="application/json"           the kind of answer that it prefers
// <input type="file" data-upload="POST /uploads"> sends the file that is chosen.
const output = document.querySelector("#answer");

async function show(send, json, file, accept) {
  const [method, url] = send.split(" ");
  const request = { method, headers: {} };
  if (accept) request.headers.Accept = accept;
  if (json) {
    request.headers["Content-Type"] = "application/json";
    request.body = json;
  }
  if (file) {
    request.body = new FormData();
    request.body.append("file", file);
  }
  const body = json ?? file?.name;
  const sent = body ? `${send}\n${body}\n\n` : `${send}\n\n`;
  output.textContent = sent;
  try {
    const answer = await fetch(url, request);
    const headers = [...answer.headers].map(([name, value]) => `${name}: ${value}\n`);
    const status = `${answer.status} ${answer.statusText}`;
    output.replaceChildren(`${sent}${status}\n${headers.join("")}\n${await answer.text()}`);
    if (answer.headers.has("Location")) {
      const link = document.createElement("a");
      link.href = link.textContent = answer.headers.get("Location");
      output.append("\nOpen ", link);
    }
  } catch (error) {
    output.replaceChildren(`${sent}No answer that this page may read (${error}).
The browser's console (F12) says why.`);
  }
  output.scrollIntoView({ block: "nearest" });
}

document.addEventListener("click", ({ target: { dataset } }) => {
  const file = dataset.file && new File([dataset.content], dataset.file);
  if (dataset.send) show(dataset.send, dataset.json, file, dataset.accept);
});
document.addEventListener("change", ({ target: { dataset, files } }) => {
  if (dataset.upload && files.length) show(dataset.upload, undefined, files[0]);
});
