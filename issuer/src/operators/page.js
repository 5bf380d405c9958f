// The operators' page: asks the operators' routes and draws what they say.

const $ = (selector) => document.querySelector(selector);
let token = "";

async function ask(method, path) {
  const answer = await fetch(`/api/v1/${path}`, {
    method,
    headers: { Authorization: `Bearer ${token}` },
    cache: "no-store",
    credentials: "omit",
  });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.detail ?? body.title ?? `the issuer answered ${answer.status}`);
  return body;
}

async function show() {
  const [keys, sessions, mail, audit, ready] = await Promise.all([
    ask("GET", "keys"),
    ask("GET", "sessions"),
    ask("GET", "mail"),
    ask("GET", "audit/events?limit=50"),
    fetch("/readyz", { cache: "no-store" }).then((answer) => answer.json()),
  ]);
  showState(ready);
  showKeys(keys.keys);
  showVerifiers(keys);
  showSessions(sessions);
  showMail(mail.mail);
  showAudit(audit.events);
}

function showState(ready) {
  const missing = Object.entries(ready).filter(([name, good]) => name !== "ready" && good === false);
  $("#state").textContent = ready.ready ? "ready" : `not ready: ${missing.map(([name]) => name).join(", ")}`;
  $("#state").className = ready.ready ? "good" : "bad";
}

// One bar a key: from its publication over its time as signer to the death of its last token.
function showKeys(keys) {
  const now = Date.now() / 1000;
  const known = keys.filter((key) => key.published_at !== null);
  const from = Math.min(now, ...known.map((key) => key.published_at));
  const until = Math.max(now, ...keys.flatMap((key) => [key.needed_until ?? 0, key.activatable_at ?? 0]));
  const span = Math.max(60, until - from) * 1.02;
  const active = keys.find((key) => key.state === "active");
  $("#now-signs").textContent = active
    ? `${short(active.kid)} signs since ${when(active.activated_at)}.`
    : "No key signs: nothing can be minted.";
  const rows = keys.flatMap((key) => {
    const track = element("div", "track");
    track.title = Object.entries(key).filter(([name, at]) => name.endsWith("_at") && at)
      .map(([name, at]) => `${name} ${when(at)}`).join("\n");
    const part = (kind, begin, end) => {
      if (begin === null || begin === undefined) return;
      const bar = element("i", kind);
      bar.style.left = `${(100 * (begin - from)) / span}%`;
      bar.style.width = `${(100 * Math.max(0, end - begin)) / span}%`;
      track.append(bar);
    };
    const end = key.revoked_at ?? key.destroyed_at ?? key.needed_until ?? now;
    part("published", key.published_at, key.activated_at ?? Math.max(now, key.activatable_at ?? 0));
    part("active", key.activated_at, key.retired_at ?? key.revoked_at ?? now);
    part("retired", key.retired_at, end);
    part("now", now, now);
    const state = element("span", { active: "good", revoked: "bad", destroyed: "" }[key.state] ?? "wait", key.state);
    return [element("span", "id", short(key.kid)), track, state];
  });
  $("#keys .timeline").replaceChildren(...rows);
}

function showVerifiers({ verifiers, keys }) {
  const { total, holding, behind, truncated } = verifiers;
  const newest = Math.max(...holding.map(({ generation }) => generation), 0);
  $("#verifiers .soft").textContent = total
    ? `${total}${truncated ? " or more" : ""} verifiers ask for the key set; ${behind} have not proved that they hold the present one.`
    : "No verifier has asked for the key set lately.";
  const rows = [...holding].sort((a, b) => b.generation - a.generation).flatMap(({ generation, count, last_seen }) => {
    const bar = element("div", generation === newest ? "bar" : "bar behind");
    bar.style.width = `${(100 * count) / Math.max(1, total)}%`;
    return [element("span", "", generation ? `generation ${generation}` : "none proved yet"), bar, element("span", "soft", `${count}, seen ${ago(last_seen)}`)];
  });
  $("#verifiers .bars").replaceChildren(...rows);
}

function showSessions({ live, revoked_last_hour, sessions }) {
  $("#sessions .soft").textContent = `${live} live, ${revoked_last_hour} ended in the last hour. The newest:`;
  fill("#sessions", sessions, (session) => [
    id(session.session_id),
    id(session.subject),
    session.acr.split(":").pop(),
    session.device ?? session.client_id,
    ago(session.issued_at),
    session.revoked_at ? element("span", "bad", `ended ${ago(session.revoked_at)}`) : element("span", "good", "live"),
  ]);
}

function showMail(mail) {
  const mood = { sent: "good", dead: "bad", expired: "bad" };
  fill("#mail", mail, (one) => [
    one.kind.replaceAll("_", " "),
    element("span", mood[one.state] ?? "wait", one.state),
    one.attempts,
    ago(one.created_at),
    one.sent_at ? ago(one.sent_at) : "",
    one.last_error ?? "",
  ]);
}

function showAudit(events) {
  fill("#audit", events, (event) => [
    when(event.occurred_at),
    event.action,
    `${event.actor_kind} ${short(event.actor_id)}`,
    `${event.target_kind} ${short(event.target_id)}`,
    event.chain_seq ?? element("span", "wait", "joining"),
  ]);
}

async function verify() {
  $("#verdict").className = "";
  $("#verdict").textContent = "Verifying …";
  let found;
  try {
    found = await ask("POST", "audit/verify");
  } catch (error) {
    $("#verdict").className = "bad";
    $("#verdict").textContent = `Not verified: ${error.message}.`;
    return;
  }
  $("#verdict").className = found.valid ? "good" : "bad";
  $("#verdict").textContent = found.valid
    ? `Unbroken: ${count(found.events, "event")}, ${count(found.checkpoints, "signed checkpoint")}.`
    : `Broken at ${found.first_bad_seq ?? "its end"}: ${found.problem}.`;
  showAudit((await ask("GET", "audit/events?limit=50")).events);
}

// --- small things

function fill(section, rows, cells) {
  const made = rows.map((row) => {
    const line = element("tr");
    for (const cell of cells(row)) {
      const data = element("td");
      data.append(cell);
      line.append(data);
    }
    return line;
  });
  $(`${section} tbody`).replaceChildren(...made);
}

function element(name, className = "", text = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== "") made.textContent = text;
  return made;
}

function id(text) {
  const made = element("span", "id", short(text));
  made.title = text;
  return made;
}

// The end of a time-ordered id tells it apart; of a thumbprint any part does.
const short = (text) => (text.length > 20 ? `…${text.slice(-10)}` : text);
const when = (seconds) => new Date(seconds * 1000).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" });

const count = (number, what) => `${number} ${what}${number === 1 ? "" : "s"}`;

function ago(seconds) {
  const span = Date.now() / 1000 - seconds;
  for (const [unit, size] of [["d", 86_400], ["h", 3_600], ["min", 60]]) {
    if (span >= size) return `${Math.floor(span / size)} ${unit} ago`;
  }
  return "just now";
}

async function enter() {
  try {
    await show();
  } catch (error) {
    $("#refused").textContent = `That did not open the page: ${error.message}.`;
    $("#refused").hidden = false;
    return;
  }
  $("#enter").hidden = true;
  for (const part of ["main", "#reload", "#leave"]) $(part).hidden = false;
}

$("#enter").addEventListener("submit", (event) => {
  event.preventDefault();
  token = $("#token").value.trim();
  $("#token").value = "";
  $("#refused").hidden = true;
  enter();
});
$("#reload").addEventListener("click", enter);
$("#verify").addEventListener("click", verify);
$("#leave").addEventListener("click", () => location.reload());
