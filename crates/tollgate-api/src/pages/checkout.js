"use strict";
// A page that waits: the server says when it is out of date.
const { live, state } = document.body.dataset;
if (live) {
  const source = new EventSource(live);
  source.addEventListener("state", (event) => {
    if (event.data === state) return;
    source.close();
    location.replace(location.pathname);
  });
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) setTimeout(() => location.replace(location.pathname), 5000);
  };
}
// A page that comes back from the browser's memory is old.
addEventListener("pageshow", (event) => event.persisted && location.reload());

// One click, one payment. The server would not make two; the page should not look as if it might.
const busy = (form, text) => {
  form.dataset.busy = "1";
  const button = form.querySelector("button.main") || form.querySelector("button");
  button.setAttribute("aria-disabled", "true");
  if (text) button.textContent = text;
};
for (const form of document.querySelectorAll("form:not([data-card])")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.busy) event.preventDefault();
    else busy(form);
  });
}

const passes = (digits) => {
  let sum = 0;
  for (let i = 0; i < digits.length; i++) {
    let digit = Number(digits[digits.length - 1 - i]);
    if (i % 2 && (digit *= 2) > 9) digit -= 9;
    sum += digit;
  }
  return sum % 10 === 0;
};
const digitsOf = (text) => text.replace(/\D/g, "");

for (const form of document.querySelectorAll("form[data-card]")) {
  const field = (name) => form.querySelector(`[data-field=${name}]`);
  const button = form.querySelector("button");
  const label = button.textContent;
  const whole = form.querySelector("[data-error]");
  button.disabled = false;
  const say = (name, text) => {
    const input = field(name);
    document.getElementById(input.getAttribute("aria-describedby")).textContent = text;
    text ? input.setAttribute("aria-invalid", "true") : input.removeAttribute("aria-invalid");
    return text ? input : null;
  };
  // Groups of four, and a slash behind the month; only while typing at the end, so that the cursor stays.
  field("number").addEventListener("input", ({ target }) => {
    if (target.selectionEnd === target.value.length)
      target.value = digitsOf(target.value).slice(0, 19).replace(/(\d{4})(?=\d)/g, "$1 ");
  });
  field("expiry").addEventListener("input", ({ target, inputType }) => {
    if (target.selectionEnd !== target.value.length || (inputType || "").startsWith("delete")) return;
    const digits = digitsOf(target.value).slice(0, 6);
    target.value = digits.length < 2 ? digits : `${digits.slice(0, 2)} / ${digits.slice(2)}`;
  });
  const read = () => {
    const number = digitsOf(field("number").value);
    const expiry = /^\s*(\d{1,2})\D+(\d{2}|\d{4})\s*$/.exec(field("expiry").value);
    const cvc = field("cvc").value.trim();
    const month = expiry ? Number(expiry[1]) : 0;
    const year = expiry ? Number(expiry[2]) % 100 + 2000 : 0;
    const wrong = [
      say("number", number.length >= 12 && passes(number) ? "" : "Check the card number."),
      say("expiry", month >= 1 && month <= 12 ? "" : "Enter month and year, such as 08 / 29."),
      say("cvc", /^\d{3,4}$/.test(cvc) ? "" : "Enter the 3 or 4 digits."),
      say("name", ""),
    ].find(Boolean);
    if (wrong) wrong.focus();
    return wrong ? null : { session: form.dataset.session, number, exp_month: month, exp_year: year, cvc, name: field("name").value.trim() || null };
  };
  const fail = (text, name) => {
    delete form.dataset.busy;
    button.removeAttribute("aria-disabled");
    button.textContent = label;
    if (name && field(name)) say(name, text).focus();
    else whole.textContent = text;
  };
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (form.dataset.busy) return;
    whole.textContent = "";
    const card = read();
    if (!card) return;
    busy(form, "Paying…");
    try {
      const reply = await fetch(form.dataset.cards, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(card),
        credentials: "omit",
      });
      const said = await reply.json();
      if (reply.ok) {
        form.elements.token.value = said.token;
        for (const input of form.querySelectorAll("[data-field]")) input.value = "";
        form.submit();
        return;
      }
      const at = { "/number": "number", "/exp_month": "expiry", "/exp_year": "expiry", "/cvc": "cvc", "/name": "name" }[said.field];
      fail(at ? `Not accepted: ${said.detail}.` : `${said.title}.`, at);
    } catch {
      fail("The connection failed. Nothing was sent to the bank; please try again.");
    }
  });
}
