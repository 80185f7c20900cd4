// Passkeys and security keys: a form asks the browser for one, and sends what it says.
const error = document.getElementById("passkey-error");
const given = () => JSON.parse(document.getElementById("passkey-data").textContent);

function add(form) {
  const options = PublicKeyCredential.parseCreationOptionsFromJSON(given().creation_options.publicKey);
  const alone = form.elements.passwordless.checked;
  Object.assign(options.authenticatorSelection ??= {}, {
    residentKey: alone ? "required" : "discouraged",
    requireResidentKey: alone,
    ...(alone && { userVerification: "required" }),
  });
  return navigator.credentials.create({ publicKey: options });
}

async function use(form) {
  let data;
  if (form.dataset.passkey === "use") data = given();
  else data = await (await fetch(form.action, { headers: { Accept: "application/json" } })).json();
  return navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(data.request_options.publicKey) });
}

function fail(words) {
  error.textContent = words;
  error.hidden = false;
}

for (const form of document.querySelectorAll("form[data-passkey]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    error.hidden = true;
    if (!globalThis.PublicKeyCredential?.parseRequestOptionsFromJSON) return fail(error.dataset.missing);
    try {
      const credential = await (form.dataset.passkey === "add" ? add : use)(form);
      form.elements.credential.value = JSON.stringify(credential);
      form.submit();
    } catch {
      fail(error.dataset.failed); // it was cancelled, or there is none
    }
  });
}
