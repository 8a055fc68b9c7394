// Drives the payment pages of `tollgate dev` in headless Chromium: every method from the demo shop to
// the receipt, refusals, a second tab, expiry, the keyboard alone, a phone, and no scripts at all.
//
// usage: node checkout.mjs <greeting of tollgate dev> <folder for screenshots>
import { mkdtempSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import jsQR from "jsqr";
import { chromium } from "playwright-core";
import { PNG } from "pngjs";

const [greetingFile, pictures] = process.argv.slice(2);
const greeting = readFileSync(greetingFile, "utf8");
const base = /^Tollgate is ready at (\S+)/m.exec(greeting)[1];
const key = /^ {2}API key\s+(\S+)/m.exec(greeting)[1];
const places = Object.fromEntries([...greeting.matchAll(/^\s+(?:simulators\s+)?(\w+) (http:\/\/\S+)$/gm)].map((m) => [m[1], m[2]]));
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
mkdirSync(pictures, { recursive: true });

const CARD = { good: "4111111111111111", declined: "4000000000000002", poor: "4000000000009995", asks: "4000000000003220" };
const PAGE_BYTES_MAX = 40_000;

let failures = 0;
let checks = 0;
const check = (right, what) => {
  checks++;
  if (right) return;
  failures++;
  console.error(`  FAILED: ${what}`);
};

const api = async (path, body) => {
  const reply = await fetch(base + path, {
    method: body ? "POST" : "GET",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: body && JSON.stringify(body),
  });
  return { status: reply.status, json: await reply.json() };
};
const latest = async () => (await api("/api/v1/payments?limit=1")).json.data[0];
const details = async (id) => (await api(`/api/v1/payments/${id}?expand=attempts`)).json;
// The customer's own app or bank, beside the browser.
const decide = async (id, verb = "approve") => {
  const payment = await details(id);
  const attempt = payment.attempts.at(-1);
  const reply = await fetch(`${places[attempt.processor]}/sim/${verb}/${attempt.reference}`, { method: "POST" });
  if (!reply.ok && reply.status !== 409) throw new Error(`${attempt.processor} /sim/${verb}: ${reply.status} ${await reply.text()}`);
};
const session = async (more = {}) => {
  const { status, json } = await api("/api/v1/checkout/sessions", {
    amount: "24999.00",
    currency: "INR",
    description: "Order 7001",
    customer: { name: "Asha Rao", email: "asha@example.com", phone: "+919876543210" },
    return_url: `${base}/demo/receipt`,
    cancel_url: `${base}/demo`,
    ...more,
  });
  if (status !== 201) throw new Error(JSON.stringify(json));
  return json;
};

const profile = mkdtempSync(join(tmpdir(), "tollgate-browser-"));
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", `--disk-cache-dir=${profile}`,
  ],
});

// Everything a page of ours complains of, and every request that carries card digits.
const complaints = [];
const cardSeen = [];
const weights = new Map();
const watch = (context) => {
  context.on("console", (message) => {
    const at = message.location().url ?? "";
    // A page that is over says so with its status; the console repeats that.
    if (message.type() === "error" && at.startsWith(base) && !/status of (404|410|422)/.test(message.text())) {
      complaints.push(`${message.text()} (${at.slice(base.length, base.length + 20)})`);
    }
  });
  context.on("weberror", (error) => complaints.push(String(error.error())));
  context.on("dialog", (dialog) => {
    complaints.push(`a dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  context.on("request", (request) => {
    const sent = `${request.url()} ${request.postData() ?? ""}`;
    if (Object.values(CARD).some((number) => sent.includes(number))) cardSeen.push(new URL(request.url()).pathname);
  });
  context.on("response", async (response) => {
    if (!response.url().startsWith(base) || response.request().resourceType() !== "document") return;
    const body = await response.body().catch(() => null);
    const path = new URL(response.url()).pathname.replace(/(cs|pay|mer)_[\w-]+/g, "…");
    if (body) weights.set(path, Math.max(weights.get(path) ?? 0, body.length));
    const policy = response.headers()["content-security-policy"] ?? "";
    check(/default-src 'none'|sandbox/.test(policy) && policy.includes("frame-ancestors 'none'"), `policy of ${path}: ${policy}`);
    check(response.headers()["referrer-policy"] === "no-referrer", `referrer policy of ${path}`);
    check(response.headers()["cache-control"] === "no-store", `cache control of ${path}`);
  });
};
const open = async (options = {}) => {
  // The policy stays on: whatever it blocks is a complaint.
  const context = await browser.newContext({ viewport: { width: 1024, height: 900 }, ...options });
  context.setDefaultTimeout(20_000);
  watch(context);
  return context;
};
const picture = (page, name) => page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true });
const accessible = async (page, name) => {
  // Evaluated by the debugger, past the page's policy.
  await page.evaluate(axe);
  const found = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"] }));
  for (const violation of found.violations) {
    check(false, `${name}: ${violation.id}: ${violation.help}: ${violation.nodes.map((node) => node.html.slice(0, 160)).join(" | ")}`);
  }
  check(true, name);
};
const unfold = async (page, id) => {
  if (!(await page.locator(`#m-${id}`).getAttribute("open").then((it) => it !== null))) await page.click(`#m-${id} > summary`);
};
const typeCard = async (page, number, method = "card") => {
  await unfold(page, method);
  await page.fill(`#${method}-number`, number);
  await page.fill(`#${method}-expiry`, "12 / 40");
  await page.fill(`#${method}-cvc`, "123");
  await page.fill(`#${method}-name`, "Asha Rao");
};
const submitCard = (page, method = "card") => page.click(`#m-${method} button.main`);
const heading = (page, text) => page.locator("h1", { hasText: text }).waitFor();
const paid = async (page) => {
  await heading(page, /^Paid$/);
  const back = await page.locator("a.main").getAttribute("href");
  check(/payment_id=pay_\w{22}&status=completed/.test(back), `the way back says what became of it: ${back}`);
};
// The bank's page, if there is one, until the browser is back; some processors end it at once.
const atBank = async (page, decision) => {
  for (let step = 0; step < 80; step++) {
    await page.waitForLoadState();
    // A page that is being left answers nothing.
    const count = (css) => page.locator(css).count().catch(() => 0);
    if (page.url().startsWith(base)) {
      if (await count("h1:text-is('Paid'), .notice.bad")) return;
    } else if (await count(`button[value=${decision}]`)) {
      await page.click(`button[value=${decision}]`);
    }
    await page.waitForTimeout(250);
  }
};

// Nothing decides itself: the tests do.
for (const place of Object.values(places)) {
  const faults = await (await fetch(`${place}/sim/faults`)).json();
  await fetch(`${place}/sim/faults`, { method: "PUT", body: JSON.stringify({ ...faults, pending_end: "never" }) });
}

const cases = [];
const test = (name, run) => cases.push([name, run]);

test("the shop and the page", async (context) => {
  const page = await context.newPage();
  await page.goto(`${base}/demo`);
  await picture(page, "shop");
  await accessible(page, "shop");
  await page.click("button[value=bicycle]");
  await heading(page, "How would you like to pay?");
  check((await page.textContent(".amount")) === "₹23,999.00", "the amount is shown");
  await picture(page, "choose");
  for (const id of await page.locator("details").evaluateAll((all) => all.map((it) => it.id.slice(2)))) {
    await unfold(page, id);
    await picture(page, `choose-${id}`);
    await accessible(page, `choose ${id}`);
  }
});

test("a card", async (context) => {
  const page = await context.newPage();
  await page.goto(`${base}/demo`);
  await page.click("button[value=tea]");
  await typeCard(page, CARD.good);
  await submitCard(page);
  await paid(page);
  await picture(page, "paid");
  await accessible(page, "paid");
  await page.click("a.main");
  await heading(page, "Receipt");
  check((await page.textContent("dl")).includes("completed"), "the receipt says completed");
  await picture(page, "receipt");
  await accessible(page, "receipt");
});

test("a card in dollars", async (context) => {
  const page = await context.newPage();
  await page.goto(`${base}/demo`);
  await page.click("button[value=book]");
  check((await page.locator("#m-upi").count()) === 0, "no UPI in dollars");
  await typeCard(page, CARD.good);
  await submitCard(page);
  await paid(page);
});

test("a card that is typed wrong", async (context) => {
  const page = await context.newPage();
  await page.goto((await session()).url);
  await typeCard(page, "4111111111111112");
  await submitCard(page);
  check((await page.textContent("#card-number-error")) === "Check the card number.", "the number is named");
  check((await page.getAttribute("#card-number", "aria-invalid")) === "true", "aria-invalid");
  check(await page.locator("#card-number").evaluate((it) => it === document.activeElement), "the field has the focus");
  await page.fill("#card-number", CARD.good);
  await page.fill("#card-expiry", "01 / 20");
  await submitCard(page);
  await page.locator("#card-expiry-error", { hasText: "expired" }).waitFor();
  await picture(page, "card-wrong");
  await accessible(page, "card wrong");
});

test("a refused card, then net banking", async (context) => {
  const page = await context.newPage();
  await page.goto((await session()).url);
  await typeCard(page, CARD.declined);
  await submitCard(page);
  await page.locator(".notice.bad", { hasText: "No money was taken" }).waitFor();
  await picture(page, "declined");
  await accessible(page, "declined");
  await typeCard(page, CARD.poor);
  await submitCard(page);
  await page.locator(".notice.bad", { hasText: "not enough money" }).waitFor();
  await unfold(page, "net_banking");
  await page.selectOption("#bank", "HDFC");
  await page.click("#m-net_banking button");
  await atBank(page, "approve");
  await paid(page);
});

for (const [decision, name] of [["approve", "a card whose bank asks"], ["reject", "a card whose bank asks and is refused"]]) {
  test(name, async (context) => {
    const page = await context.newPage();
    await page.goto((await session()).url);
    await typeCard(page, CARD.asks);
    await submitCard(page);
    await atBank(page, decision);
    if (decision === "approve") await paid(page);
    else await page.locator(".notice.bad", { hasText: "No money was taken" }).waitFor();
  });
}

test("a QR code", async (context) => {
  const page = await context.newPage();
  await page.goto((await session()).url);
  await page.click("button:has-text('Show a QR code')");
  await heading(page, "Scan with any UPI app");
  await page.locator("img.qr").evaluate((image) => image.decode());
  const shot = PNG.sync.read(await page.locator("img.qr").screenshot());
  const read = jsQR(new Uint8ClampedArray(shot.data), shot.width, shot.height);
  const payment = await latest();
  check(read?.data === payment.next_action.uri, `the code reads ${read?.data}, the payment says ${payment.next_action?.uri}`);
  await picture(page, "upi-qr");
  await accessible(page, "upi qr");
  await decide(payment.id);
  // Nobody touches the page: it changes by itself.
  await paid(page);
});

test("a UPI app on a phone; a second tab; another choice", async () => {
  const context = await open({ viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2, userAgent: "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36" });
  const page = await context.newPage();
  const { url } = await session();
  await page.goto(url);
  await picture(page, "phone-choose");
  const second = await context.newPage();
  await second.goto(url);
  await page.click("button:has-text('Open a UPI app')");
  await heading(page, "Pay with your UPI app");
  const first = await latest();
  check((await page.getAttribute("main a.main", "href")) === first.next_action.uri, "the link is the payment's");
  await picture(page, "phone-upi");
  await accessible(page, "phone upi");
  check(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "nothing is wider than the phone");
  await unfold(second, "net_banking");
  await second.selectOption("#bank", "HDFC");
  await second.click("#m-net_banking button");
  await second.locator(".notice", { hasText: "under way already" }).waitFor();
  await picture(second, "second-tab");
  check((await latest()).id === first.id, "the second tab made no payment");
  await second.click("button:has-text('Cancel and choose')");
  await heading(second, "How would you like to pay?");
  // The first tab hears of it.
  await heading(page, "How would you like to pay?");
  check((await details(first.id)).status === "cancelled", "the first payment is cancelled");
  await page.click("button:has-text('Open a UPI app')");
  await heading(page, "Pay with your UPI app");
  await decide((await latest()).id);
  await paid(page);
  await picture(page, "phone-paid");
  await context.close();
});

test("a UPI request that is refused, then one that is approved", async (context) => {
  const page = await context.newPage();
  await page.goto((await session()).url);
  await page.fill("#vpa", "pending@upi");
  await page.click("button:has-text('Send a request')");
  await heading(page, /Approve the request/);
  await picture(page, "upi-collect");
  await accessible(page, "upi collect");
  await decide((await latest()).id, "reject");
  await page.locator(".notice.bad").waitFor();
  await page.fill("#vpa", "pending@upi");
  await page.click("button:has-text('Send a request')");
  await heading(page, /Approve the request/);
  await decide((await latest()).id);
  await paid(page);
});

test("every wallet, bank, lender and instalment plan's bank", async (context) => {
  const page = await context.newPage();
  const { url } = await session();
  await page.goto(url);
  const values = (css) => page.locator(css).evaluateAll((all) => all.map((it) => it.value).filter(Boolean));
  const wallets = await values("#m-wallet button");
  const banks = await values("#bank option");
  const lenders = await values("#m-bnpl input[type=radio]");
  const plans = await values("#plan option");
  console.log(`  wallets ${wallets}; banks ${banks}; lenders ${lenders}; ${plans.length} instalment plans`);
  for (const wallet of wallets) {
    await page.goto((await session()).url);
    await unfold(page, "wallet");
    await page.click(`#m-wallet button[value=${wallet}]`);
    await atBank(page, "approve");
    await paid(page);
  }
  for (const bank of banks) {
    await page.goto((await session()).url);
    await unfold(page, "net_banking");
    await page.selectOption("#bank", bank);
    await page.click("#m-net_banking button");
    await atBank(page, "approve");
    await paid(page);
  }
  for (const lender of lenders) {
    await page.goto((await session({ amount: "2499.00" })).url);
    await unfold(page, "bnpl");
    await page.check(`#m-bnpl input[value="${lender}"]`);
    await page.click("#m-bnpl button");
    await atBank(page, "approve");
    await paid(page);
  }
  for (const bank of new Set(plans.map((plan) => plan.split(":")[0]))) {
    await page.goto((await session()).url);
    await typeCard(page, CARD.good, "emi");
    await page.selectOption("#plan", plans.find((plan) => plan.startsWith(bank)));
    await submitCard(page, "emi");
    await atBank(page, "approve");
    await paid(page);
    const payment = await latest();
    check(payment.payment_method === "emi", `paid in instalments: ${payment.payment_method}`);
  }
});

test("the keyboard alone", async (context) => {
  const page = await context.newPage();
  await page.goto((await session({ payment_methods: ["card"] })).url);
  const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.textContent.trim());
  const tabTo = async (wanted) => {
    for (let step = 0; step < 20 && !wanted.test(await focused()); step++) await page.keyboard.press("Tab");
    check(wanted.test(await focused()), `Tab reaches ${wanted}: ${await focused()}`);
  };
  await tabTo(/^Card/);
  await picture(page, "keyboard");
  await page.keyboard.press("Enter");
  for (const [name, text] of [["number", CARD.good], ["expiry", "1240"], ["cvc", "123"], ["name", "Asha Rao"]]) {
    await tabTo(new RegExp(`^card-${name}$`));
    await page.keyboard.type(text);
  }
  check((await page.inputValue("#card-number")) === "4111 1111 1111 1111", "digits are grouped while typing");
  check((await page.inputValue("#card-expiry")) === "12 / 40", "the slash comes by itself");
  await tabTo(/^Pay ₹/);
  await page.keyboard.press("Enter");
  await paid(page);
});

test("no scripts: a bank and a QR code", async () => {
  const context = await open({ javaScriptEnabled: false });
  const page = await context.newPage();
  await page.goto((await session()).url);
  await unfold(page, "card");
  check(await page.locator("#m-card button.main").isDisabled(), "card fields need a script");
  await picture(page, "no-script-card");
  await unfold(page, "net_banking");
  await page.selectOption("#bank", "HDFC");
  await page.click("#m-net_banking button");
  for (let step = 0; step < 8 && !(await page.locator("h1", { hasText: /^Paid$/ }).count()); step++) {
    await page.waitForTimeout(500);
    const button = page.locator("button[value=approve], form button:has-text('Continue'), button:has-text('Back to the shop')").first();
    if (await button.count()) await button.click();
  }
  await paid(page);
  await page.goto((await session()).url);
  await page.click("button:has-text('Show a QR code')");
  await heading(page, "Scan with any UPI app");
  await decide((await latest()).id);
  // Without a script the page looks again every five seconds.
  await paid(page);
  await context.close();
});

test("time that is over", async (context) => {
  const page = await context.newPage();
  const { id, url } = await session({ expires_in_s: 5 });
  await page.goto(url);
  await page.waitForTimeout(5_500);
  await page.click("button:has-text('Show a QR code')");
  await heading(page, "This payment page is over");
  await picture(page, "expired");
  await accessible(page, "expired");
  check((await api(`/api/v1/checkout/sessions/${id}`)).json.status === "expired", "the API says so too");
});

test("addresses that lead nowhere, and hostile words", async (context) => {
  const page = await context.newPage();
  const hostile = "\"><img src=x onerror=alert(1)><script>alert(2)</script>'";
  const { url } = await session({ description: hostile });
  await page.goto(url);
  check((await page.textContent(".for")) === hostile, "hostile words are words");
  const other = url.endsWith("x") ? "y" : "x";
  check((await page.goto(`${url.slice(0, -1)}${other}`)).status() === 404, "a wrong secret opens nothing");
  check((await page.goto(`${base}/return/razorpay/0000000000000000000000`)).status() === 404, "an unknown way back");
  await accessible(page, "nothing there");
});

test("the dark", async () => {
  const context = await open({ colorScheme: "dark" });
  const page = await context.newPage();
  await page.goto((await session()).url);
  await unfold(page, "card");
  await picture(page, "dark-card");
  await accessible(page, "dark card");
  await typeCard(page, CARD.declined);
  await submitCard(page);
  await page.locator(".notice.bad").waitFor();
  await picture(page, "dark-declined");
  await accessible(page, "dark declined");
  await page.click("button:has-text('Show a QR code')");
  await heading(page, "Scan with any UPI app");
  await picture(page, "dark-qr");
  await accessible(page, "dark qr");
  await context.close();
});

const wanted = process.env.ONLY;
for (const [name, run] of cases) {
  if (wanted && !name.includes(wanted)) continue;
  const begun = Date.now();
  const context = await open();
  const before = failures;
  try {
    await run(context);
  } catch (error) {
    failures++;
    console.error(`  FAILED: ${name}: ${error.message.split("\n").slice(0, 6).join("\n    ")}`);
    const page = context.pages().at(-1);
    if (page) {
      console.error(`  at ${page.url()}: ${(await page.locator("body").innerText().catch(() => "")).slice(0, 300).replace(/\n+/g, " / ")}`);
      await picture(page, `failed-${name.replace(/\W+/g, "-")}`).catch(() => {});
    }
  }
  await context.close();
  console.log(`${failures === before ? "ok" : "FAILED"}  ${name} (${((Date.now() - begun) / 1000).toFixed(1)} s)`);
}
await browser.close();
rmSync(profile, { recursive: true, force: true });

check(complaints.length === 0, `complaints of the browser: ${[...new Set(complaints)].join("; ")}`);
check(cardSeen.every((path) => path === "/vault/cards"), `card digits went to ${[...new Set(cardSeen)]}`);
for (const [path, bytes] of [...weights].sort()) {
  console.log(`  ${String(bytes).padStart(6)} bytes  ${path}`);
  check(bytes <= PAGE_BYTES_MAX, `${path} weighs ${bytes} bytes`);
}
console.log(`${checks} checks, ${failures} failed`);
process.exit(failures ? 1 : 0);
