// A button names a request; this sends it and shows it with its answer.
//   data-send="PUT /j/echo/"                 method and URL
//   data-json='{"a": 1}'                     a JSON body
//   data-file="a.txt" data-content="hello"   a file to upload, as field "file"
const page = document.querySelector("#answer");

async function show({ send, json, file, content }) {
  const [method, url] = send.split(" ");
  const request = { method, headers: {} };
  if (json) {
    request.headers["Content-Type"] = "application/json";
    request.body = json;
  }
  if (file) {
    request.body = new FormData();
    request.body.append("file", new File([content], file));
  }
  const body = json ?? file;
  page.textContent = body ? `${send}\n${body}\n\n` : `${send}\n\n`;
  try {
    const answer = await fetch(url, request);
    const headers = [...answer.headers].map(([name, value]) => `${name}: ${value}`);
    page.textContent += `${answer.status} ${answer.statusText}\n${headers.join("\n")}\n\n`;
    page.textContent += await answer.text();
  } catch (error) {
    page.textContent += `No answer that this page may read (${error}).\nThe browser's console (F12) says why.`;
  }
}

document.addEventListener("click", ({ target }) => {
  if (target.dataset.send) show(target.dataset);
});
