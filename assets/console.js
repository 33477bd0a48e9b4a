// What the console does beyond plain pages. Every page works without it, but for copying and live parts.

const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;

/* Menus close on Escape and on a click elsewhere. */

addEventListener("click", (event) => {
  for (const menu of all("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});
addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of all("details.menu[open]")) {
    menu.open = false;
    menu.firstElementChild.focus();
  }
});

/* Times are relative, and become older while one looks at them. */

function inWords(instant) {
  const seconds = (instant - Date.now()) / 1000;
  const span = Math.abs(seconds);
  if (span < 60) return seconds > 0 ? "in less than a minute" : "just now";
  const [size, unit] = [[86400 * 365, "year"], [86400 * 100, "month"], [86400, "day"], [3600, "hour"], [60, "minute"]]
    .find(([size]) => span >= size);
  // What is over is rounded down, what is to come to the nearest.
  const count = Math[seconds > 0 ? "round" : "floor"](span / (unit === "month" ? 86400 * 30.4 : size));
  const words = `${count} ${unit}${count === 1 ? "" : "s"}`;
  return seconds > 0 ? `in ${words}` : `${words} ago`;
}

function showTimes() {
  for (const time of all("time[data-relative]")) time.textContent = inWords(Date.parse(time.dateTime));
}
setInterval(showTimes, 60_000);

/* A dialog is a page of its own; here it learns to hold the focus and to close on Escape. */

const dialog = document.querySelector("dialog[data-close]");
if (dialog) {
  dialog.removeAttribute("open");
  dialog.showModal();
  // A reload asks for the page that says so, instead of sending the form again.
  if (dialog.dataset.after) history.replaceState(null, "", dialog.dataset.after);
  (dialog.querySelector("[aria-invalid=true]") ?? dialog.querySelector("[data-copy], .input, form [type=radio]:checked, .primary"))?.focus();
  dialog.addEventListener("cancel", (event) => {
    event.preventDefault();
    leave(dialog.dataset.close);
  });
  // A browser may close it without asking when Escape is pressed twice.
  dialog.addEventListener("close", () => {
    dialog.showModal();
    leave(dialog.dataset.close);
  });
}

/* The secret: copied, asked about once, torn off, wiped. */

const secrets = all("[data-secret]");
const spoken = document.createElement("p");
spoken.className = "unseen";
spoken.role = "status";
(dialog ?? document.body).append(spoken);
let uncopied = secrets.length > 0;
let asked = false;

// A line from the server has a word where the secret stands: it is this page that has it.
const secretOf = () => document.getElementById("secret")?.textContent.trim() || "TOKEN";

function copied(element) {
  element.dataset.copied = "";
  uncopied = secrets.some((secret) => !("copied" in secret.dataset));
  if (!uncopied) all("[data-ask]").forEach((ask) => (ask.hidden = true));
}

addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(source.textContent.trim());
    button.textContent = spoken.textContent = "Copied";
    copied(source);
    // An example holds the whole secret as well.
    if (source.dataset.holds) secrets.forEach(copied);
  } catch {
    getSelection().selectAllChildren(source);
    button.textContent = "Press Ctrl+C";
  }
  setTimeout(() => {
    button.textContent = label;
    spoken.textContent = "";
  }, 2000);
});
addEventListener("click", (event) => {
  const button = event.target.closest("[data-print]");
  if (!button) return;
  print();
  copied(document.getElementById(button.dataset.print));
});
addEventListener("copy", () => {
  for (const secret of secrets) if (getSelection().toString().includes(secret.textContent.trim())) copied(secret);
});

function leave(url) {
  const ask = document.querySelector("[data-ask]");
  if (uncopied && !asked && ask) {
    asked = true;
    ask.hidden = false;
    ask.focus();
    return;
  }
  asked = true;
  const ticket = document.querySelector(".ticket");
  if (ticket && !calm) {
    ticket.classList.add("torn");
    setTimeout(() => location.assign(url), 240);
  } else {
    location.assign(url);
  }
}

addEventListener("click", (event) => {
  const link = event.target.closest("a[data-done]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  leave(link.href);
});
addEventListener("beforeunload", (event) => {
  if (!uncopied || asked) return;
  asked = true;
  event.preventDefault();
});
addEventListener("pagehide", () => {
  for (const secret of all("[data-secret], [data-holds]")) secret.textContent = "";
  for (const field of all("input[type=password], input[data-holds], textarea[data-holds]")) field.value = "";
});
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  if (!secrets.length) {
    if (live) location.reload();
    return;
  }
  uncopied = false;
  document.querySelector(".torn")?.classList.remove("torn");
  for (const part of all(".tear")) part.hidden = true;
  for (const gone of all("[data-gone]")) gone.hidden = false;
});

/* The expiry and the permissions in words. */

for (const group of all("[data-expiry]")) {
  const words = group.querySelector("[data-expiry-words]");
  const say = () => {
    const chosen = group.querySelector("input[type=radio]:checked");
    const date = group.querySelector("input[type=date]");
    const day = chosen && "custom" in chosen.dataset ? date.value : chosen?.dataset.until;
    if (!chosen || day === undefined) words.textContent = chosen ? "It never expires." : "";
    else if (!day) words.textContent = "Choose a date.";
    else {
      const until = new Date(`${day}T00:00:00Z`);
      const long = until.toLocaleDateString("en-GB", { weekday: "long", day: "numeric", month: "long", year: "numeric", timeZone: "UTC" });
      words.textContent = until < Date.now() ? "That day is over. Choose a later one." : `It expires on ${long}, ${inWords(until)}.`;
    }
  };
  group.addEventListener("input", say);
  say();
}

for (const form of all("form:has([data-can])")) {
  const can = form.querySelector("[data-can]");
  const say = () => {
    const phrases = all("[data-phrase]:checked", form).map((input) => input.dataset.phrase);
    can.textContent = phrases.length ? `This token will be able to: ${phrases.join("; ")}.` : can.dataset.can;
  };
  form.addEventListener("input", say);
  say();
}

for (const box of all("[data-pick-all]")) {
  const boxes = () => all("[data-pick]", box.form ?? document);
  box.addEventListener("input", () => boxes().forEach((pick) => (pick.checked = box.checked)));
}

/* Live parts: the server names a part, its state and what stands in its fields. */

function show({ part, state, fields = {} }) {
  const element = document.querySelector(`[data-part="${CSS.escape(part)}"]`);
  if (!element) return;
  if (state) element.dataset.state = state;
  for (const [name, value] of Object.entries(fields)) {
    for (const field of all(`[data-field="${CSS.escape(name)}"]`, element)) {
      if (field.localName === "time" && value) {
        field.dateTime = value;
        field.title = `${value.slice(0, 19).replace("T", " ")} UTC`;
        field.textContent = inWords(Date.parse(value));
      } else field.textContent = field.dataset.holds ? value.replaceAll("TOKEN", secretOf()) : value;
      field.hidden = value === "";
    }
  }
}

const live = document.querySelector("[data-live]");
if (live) {
  const source = new EventSource(live.dataset.live);
  source.addEventListener("part", (event) => show(JSON.parse(event.data)));
  source.addEventListener("end", () => source.close());
  addEventListener("pagehide", () => source.close());
}
