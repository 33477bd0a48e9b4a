// The leak desk: tokens are found here, by prefix and checksum; what leaves the page are their digests.

const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/** CRC-32/ISO-HDLC. */
function checksum(text) {
  let sum = -1;
  for (const character of text) {
    sum ^= character.charCodeAt(0);
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return ~sum >>> 0;
}

/** How many the server looks up at once. */
const MOST = 500;

const isSound = (token) =>
  [...token.slice(-6)].reduce((sum, digit) => sum * 62 + DIGITS.indexOf(digit), 0) === checksum(token.slice(0, -6));

function findTokens(text, prefixes) {
  const form = new RegExp(`(?=((?:${prefixes.join("|")})_[0-9A-Za-z]{39}))`, "g");
  const found = new Map();
  text.split("\n").forEach((line, number) => {
    // HTTP Basic hides an e-mail and a token in base64.
    const hidden = [...line.matchAll(/basic\s+([\w+/]{40,}={0,2})/gi)].map(([, packed]) => {
      try { return atob(packed); } catch { return ""; }
    });
    for (const [, token] of [line, ...hidden].join(" ").matchAll(form))
      if (!found.has(token) && isSound(token)) found.set(token, number + 1);
  });
  return found;
}

const desk = document.querySelector("form[data-action][data-prefixes]");
desk?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = desk.querySelector("textarea");
  const [said, rows] = [desk.querySelector("[data-said]"), document.querySelector("[data-rows]")];
  const found = findTokens(text.value, desk.dataset.prefixes.split(" "));
  const lines = text.value.split("\n").length;
  rows.replaceChildren();
  if (!found.size) {
    said.textContent = `No token of this installation in ${lines} lines. Nothing was sent.`;
    return;
  }
  const body = new URLSearchParams();
  for (const [token, line] of [...found].slice(0, MOST)) {
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(token));
    body.append("digest", [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join(""));
    body.append("line", line);
  }
  const some = found.size > MOST ? ` These are the first ${MOST}: end them, and look again without them.` : "";
  said.textContent = `${found.size} found in ${lines} lines. Asking whose they are.`;
  try {
    const answer = await fetch(desk.dataset.action, { method: "POST", body });
    if (!answer.ok) throw answer.status;
    rows.innerHTML = await answer.text();
    said.textContent = `${found.size} found in ${lines} lines. Only digests were sent.${some}`;
  } catch {
    said.textContent = "The server did not answer. Only digests were sent; try again.";
  }
});
