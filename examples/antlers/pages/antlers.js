// The page of Antlers: what is shown, and what each button does.

import { Problem, Queue } from "./queue.js";

const $ = (selector) => document.querySelector(selector);
const { issuer } = await (await fetch("config.json")).json();
const queue = new Queue(issuer);
let recovery = null;

// --- in and out

async function start() {
  try {
    await queue.refresh();
    await enter();
  } catch (error) {
    if (error.code !== "refresh_token_invalid") tell(error);
    await leave();
  }
}

async function enter() {
  $("#outside").hidden = true;
  $("#inside").hidden = false;
  $("#sign-out").hidden = false;
  await Promise.all([showMe(), showProof(), showPasskeys(), showDevices(), showCodes()]);
}

async function leave() {
  queue.forget();
  // What belongs to the customer leaves the page, not only the eye.
  for (const part of document.querySelectorAll("#inside .list, #inside .shown, #inside dl, #who, #address")) {
    part.replaceChildren();
  }
  for (const form of document.forms) form.reset();
  forgetRecovery();
  for (const part of ["#inside", "#who", "#sign-out", "#codes .shown"]) $(part).hidden = true;
  $("#outside").hidden = false;
  for (const drawer of document.querySelectorAll(".drawer")) drawer.hidden = true;
  // Waits, without a word, for a passkey to be chosen in the address field.
  queue.autofill().then((answer) => answer && enter().then(() => tell("Welcome back."))).catch(tell);
}

// --- what is shown

async function showMe() {
  const me = await queue.me();
  $("#who").textContent = me.display_name ?? me.email ?? "";
  $("#who").hidden = false;
  $("#rename").elements.name.value = me.display_name ?? "";
  const address = $("#address");
  address.textContent = me.email ?? "No e-mail address";
  if (me.email) {
    const badge = document.createElement("span");
    badge.className = me.email_verified ? "badge" : "badge open";
    badge.textContent = me.email_verified ? "verified" : "not verified";
    address.append(" ", badge);
  }
  $("#send-code").hidden = !me.email || me.email_verified;
  $("#verify").hidden = true;
}

async function showProof() {
  const answer = await fetch("session", {
    headers: { Authorization: `Bearer ${queue.accessToken}` },
    cache: "no-store",
  });
  const doors = await answer.json();
  for (const [name, verdict] of Object.entries(doors)) {
    const article = $(`#door-${name}`);
    article.className = verdict.code === "valid" ? "valid" : "refused";
    const facts = [["verdict", verdict.code], ...Object.entries(verdict.facts ?? {})];
    article.querySelector("dl").replaceChildren(
      ...facts.flatMap(([term, value]) => {
        const dt = document.createElement("dt");
        const dd = document.createElement("dd");
        dt.textContent = term;
        dd.textContent = value;
        if (term === "verdict") dd.className = "verdict";
        return [dt, dd];
      }),
    );
  }
}

async function showPasskeys() {
  const { credentials } = await queue.passkeys();
  const rows = credentials.map(({ id, name, created_at, last_used_at }) =>
    row(name, last_used_at ? `last used ${ago(last_used_at)}` : `made ${ago(created_at)}`, [
      ["Rename", async () => {
        const given = prompt("A name for this passkey", name);
        if (given) await queue.renamePasskey(id, given).then(showPasskeys);
      }],
      ["Remove", () => queue.removePasskey(id).then(showPasskeys).then(() => tell("The passkey is removed."))],
    ]),
  );
  $("#passkeys .list").replaceChildren(...rows);
}

async function showDevices() {
  const { sessions } = await queue.sessions();
  const rows = sessions.map(({ session_id, device, client_id, last_used_at, is_current }) => {
    const name = device ?? `A session of ${client_id}`;
    if (is_current) return row(name, "this device", []);
    const end = () => queue.endSession(session_id).then(showDevices);
    return row(name, `active ${ago(last_used_at)}`, [["Sign out", end]]);
  });
  $("#devices .list").replaceChildren(...rows);
}

async function showCodes() {
  const { remaining } = await queue.backupCodes();
  $("#codes .standing").textContent = remaining
    ? `${remaining} of 10 left. Each signs you in once, when no passkey is at hand.`
    : "None yet. Ten codes sign you in, once each, when no passkey is at hand.";
}

function row(name, detail, actions) {
  const item = $("#row").content.cloneNode(true);
  item.querySelector("strong").textContent = name;
  item.querySelector("small").textContent = detail;
  for (const [label, act] of actions) {
    const button = document.createElement("button");
    button.className = "quiet";
    button.textContent = label;
    button.addEventListener("click", () => run(button, act));
    item.querySelector(".actions").append(button);
  }
  return item;
}

function ago(seconds) {
  const span = Math.max(0, Date.now() / 1000 - seconds);
  const words = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  for (const [unit, size] of [["day", 86_400], ["hour", 3_600], ["minute", 60]]) {
    if (span >= size) return words.format(-Math.floor(span / size), unit);
  }
  return "just now";
}

// --- what went well, and what did not

function tell(what) {
  const notice = $("#notice");
  const failed = what instanceof Error;
  notice.textContent = failed ? words(what) : what;
  notice.className = failed ? "bad" : "";
  notice.hidden = false;
}

function words(error) {
  if (error.name === "NotAllowedError") return "No passkey was shown. Nothing has changed.";
  if (error.name === "InvalidStateError") return "This device has a passkey for you already.";
  if (!(error instanceof Problem)) return error.message;
  return WORDS[error.code] ?? error.message;
}

const WORDS = {
  authentication_failed: "That did not sign you in. Try another way below.",
  registration_failed: "That did not work. If you have an account already, sign in.",
  verification_failed: "That code is not right, or no longer good. Ask for a new one.",
  rate_limited: "Too many attempts. Wait a little, then try again.",
  webauthn_last_credential: "This is your only passkey. Add another one first.",
  refresh_token_invalid: "You are signed out.",
  access_token_invalid: "You are signed out.",
};

async function run(button, act) {
  $("#notice").hidden = true;
  button.disabled = true;
  try {
    await act();
  } catch (error) {
    tell(error);
    const isOver = ["refresh_token_invalid", "access_token_invalid"].includes(error.code);
    if (isOver) await leave();
  } finally {
    button.disabled = false;
  }
}

// --- what the buttons do

function onSubmit(id, act) {
  $(id).addEventListener("submit", (event) => {
    event.preventDefault();
    const fields = Object.fromEntries(new FormData(event.target));
    run(event.submitter ?? event.target.querySelector("button"), () => act(fields, event.target));
  });
}

function onClick(id, act) {
  $(id).addEventListener("click", (event) => run(event.target, act));
}

for (const opener of document.querySelectorAll("[data-open]")) {
  opener.addEventListener("click", () => {
    for (const drawer of document.querySelectorAll(".drawer")) {
      drawer.hidden = drawer.id !== opener.dataset.open || !drawer.hidden;
    }
    document.querySelector(".drawer:not([hidden]) input")?.focus();
  });
}

onSubmit("#sign-in", async ({ email }) => {
  await queue.signIn(email);
  await enter();
});
onSubmit("#sign-up", async ({ email, name }) => {
  await queue.signUp(email, name);
  await enter();
  tell("Your account is ready, and your passkey is on this device.");
});
onSubmit("#with-code", async ({ email, code }) => {
  await queue.signInWithBackupCode(email, code);
  await enter();
  tell("That code is spent. Add a passkey for the next time.");
});
onSubmit("#recover", async ({ email, code }, form) => {
  if (recovery) {
    try {
      await queue.confirmCode(recovery, code, { recovers: true });
    } catch (error) {
      // The next try is for a new code.
      if (error.code === "verification_failed") forgetRecovery();
      throw error;
    }
    await enter();
    tell("You are in. Add a passkey for the next time.");
    return;
  }
  recovery = (await queue.sendCode("recover", email)).verification_id;
  $("#recover-code").hidden = false;
  form.querySelector("button").textContent = "Sign in";
  form.elements.code.focus();
  tell("If there is an account with this address, a code is on its way.");
});
function forgetRecovery() {
  recovery = null;
  $("#recover-code").hidden = true;
  $("#recover .primary").textContent = "Send a code";
}

onSubmit("#rename", async ({ name }) => {
  await queue.rename(name);
  await showMe();
  tell("Saved.");
});
onSubmit("#add-passkey", async ({ name }, form) => {
  await queue.addPasskey(name);
  form.reset();
  await showPasskeys();
  tell("The passkey is added.");
});

let verification = null;
onClick("#send-code", async () => {
  verification = (await queue.sendCode("verify")).verification_id;
  $("#verify").hidden = false;
  $("#verify").elements.code.focus();
  tell("A code is on its way.");
});
onSubmit("#verify", async ({ code }, form) => {
  await queue.confirmCode(verification, code);
  form.reset();
  await showMe();
  tell("Your address is verified.");
});
onClick("#check-again", showProof);
onClick("#make-codes", async () => {
  const { codes } = await queue.makeBackupCodes();
  const items = codes.map((code) => {
    const item = document.createElement("li");
    item.textContent = code;
    return item;
  });
  $("#codes .shown").replaceChildren(...items);
  $("#codes .shown").hidden = false;
  await showCodes();
  tell("Write these down now: they are shown this once.");
});
onClick("#end-others", async () => {
  await queue.signOut("others");
  await showDevices();
  tell("Every other device is signed out.");
});
onClick("#end-all", async () => {
  await queue.signOut("all");
  await leave();
  tell("You are signed out everywhere.");
});
onClick("#sign-out", async () => {
  await queue.signOut();
  await leave();
  tell("You are signed out.");
});

await start();
