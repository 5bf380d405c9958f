// Queue in a browser: passkeys, codes, and the access token, which is held in memory only.
//
// The refresh token is in a cookie that no script can read; the browser sends it along where we say
// `credentials: "include"`. Every answer that is not a success becomes a `Problem` with its code.

export class Problem extends Error {
  constructor(status, body) {
    super(body.detail ?? body.title ?? `expected success, not ${status}`);
    this.status = status;
    this.code = body.code ?? "unreachable";
  }
}

export class Queue {
  #issuer;
  #token = null;
  #refreshing = null;
  #conditional = null;

  constructor(issuer) {
    this.#issuer = issuer;
  }

  get accessToken() {
    return this.#token;
  }

  // Forgets who is signed in; the cookie stays as it is.
  forget() {
    this.#token = null;
  }

  // --- signing in

  async signUp(email, displayName) {
    const asked = { email, ...(displayName && { display_name: displayName }) };
    return this.#signedIn(await this.#register(asked));
  }

  // Without an address the browser offers every passkey it has for this page.
  async signIn(email) {
    this.stopAutofill();
    const asked = await this.#page("auth/webauthn/login/options", email ? { email } : {});
    return this.#signedIn(await this.#show(asked));
  }

  // Offers passkeys in the address field (conditional UI); resolves when one was chosen.
  async autofill() {
    const available = await globalThis.PublicKeyCredential?.isConditionalMediationAvailable?.();
    if (!available) return null;
    this.stopAutofill();
    const stop = new AbortController();
    this.#conditional = stop;
    const asked = await this.#page("auth/webauthn/login/options", {});
    if (stop.signal.aborted) return null;
    try {
      const shown = await this.#show(asked, { mediation: "conditional", signal: stop.signal });
      return this.#signedIn(shown);
    } catch (error) {
      // Nobody chose one, or another way in was taken.
      if (["AbortError", "NotAllowedError"].includes(error.name)) return null;
      throw error;
    }
  }

  stopAutofill() {
    this.#conditional?.abort();
    this.#conditional = null;
  }

  async signInWithBackupCode(email, code) {
    return this.#signedIn(await this.#page("auth/backup-codes/verify", { email, code }));
  }

  // Sends a code to the address, if somebody has it; the answer is the same if nobody does.
  async sendCode(purpose, email) {
    const body = { purpose, ...(email && { email }) };
    const bearer = purpose !== "recover";
    const send = () => this.#page("auth/email/verification", body, { bearer });
    return purpose === "change" ? this.#afterStepUp(send) : send();
  }

  async confirmCode(id, code, { recovers = false } = {}) {
    const path = `auth/email/verification/${id}/confirm`;
    const answer = await this.#page(path, { code }, { bearer: !recovers });
    return recovers ? this.#signedIn(answer) : answer;
  }

  // --- the session

  // A new access token from the cookie; calls at the same time share one.
  refresh() {
    this.#refreshing ??= this.#page("auth/token/refresh")
      .then((answer) => this.#signedIn(answer))
      .finally(() => (this.#refreshing = null));
    return this.#refreshing;
  }

  async signOut(sessions = "this") {
    await this.#page("auth/logout", { sessions }, { bearer: true });
    if (sessions !== "others") this.#token = null;
  }

  // Shows a passkey again, for what asks for a recent one.
  async stepUp() {
    this.stopAutofill();
    const asked = await this.#page("auth/webauthn/login/options", {}, { bearer: true });
    return this.#signedIn(await this.#show(asked, {}, { bearer: true }));
  }

  // --- what belongs to the customer

  me = () => this.#own("GET", "auth/me");
  rename = (name) => this.#own("PATCH", "auth/me", { display_name: name || null });
  sessions = () => this.#own("GET", "auth/sessions");
  endSession = (id) => this.#own("DELETE", `auth/sessions/${id}`);
  passkeys = () => this.#own("GET", "auth/webauthn/credentials");
  renamePasskey = (id, name) =>
    this.#afterStepUp(() => this.#own("PATCH", `auth/webauthn/credentials/${id}`, { name }));
  backupCodes = () => this.#own("GET", "auth/backup-codes");
  makeBackupCodes = () => this.#afterStepUp(() => this.#own("POST", "auth/backup-codes"));
  addPasskey = (name) => this.#afterStepUp(() => this.#register({ name }, { bearer: true }));

  async removePasskey(id) {
    const remove = () => this.#own("DELETE", `auth/webauthn/credentials/${id}`);
    const accepted = await this.#afterStepUp(remove);
    // Tells the passkey's own keeper that it is gone.
    await globalThis.PublicKeyCredential?.signalAllAcceptedCredentials?.({
      rpId: accepted.rp_id,
      userId: accepted.user_id,
      allAcceptedCredentialIds: accepted.all_accepted_credential_ids,
    });
  }

  // --- underneath

  async #register(body, options = {}) {
    this.stopAutofill();
    const asked = await this.#page("auth/webauthn/register/options", body, options);
    const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(asked.publicKey);
    const made = await navigator.credentials.create({ publicKey });
    const answer = { challenge_id: asked.challenge_id, credential: made.toJSON() };
    return this.#page("auth/webauthn/register/verify", answer, options);
  }

  async #show(asked, how = {}, options = {}) {
    const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(asked.publicKey);
    const shown = await navigator.credentials.get({ publicKey, ...how });
    const answer = { challenge_id: asked.challenge_id, credential: shown.toJSON() };
    return this.#page("auth/webauthn/login/verify", answer, options);
  }

  #signedIn(answer) {
    this.#token = answer.access_token;
    return answer;
  }

  // A request that the cookie speaks for, or the access token too.
  #page(path, body = {}, { bearer = false } = {}) {
    const send = () => {
      const headers = { "X-Queue-CSRF": "1" };
      if (bearer && this.#token) headers.Authorization = `Bearer ${this.#token}`;
      return this.#send("POST", path, body, { headers, credentials: "include" });
    };
    return bearer ? this.#renewing(send) : send();
  }

  // A request that the access token speaks for.
  #own(method, path, body) {
    return this.#renewing(() => {
      const headers = { Authorization: `Bearer ${this.#token}` };
      return this.#send(method, path, body, { headers, credentials: "omit" });
    });
  }

  // An access token that has run out is replaced once.
  async #renewing(send) {
    try {
      return await send();
    } catch (error) {
      if (error.code !== "access_token_invalid") throw error;
      await this.refresh();
      return send();
    }
  }

  async #afterStepUp(act) {
    try {
      return await act();
    } catch (error) {
      if (error.code !== "insufficient_user_authentication") throw error;
      await this.stepUp();
      return act();
    }
  }

  async #send(method, path, body, options) {
    if (body !== undefined) options.headers["Content-Type"] = "application/json";
    const answer = await fetch(`${this.#issuer}/api/v1/${path}`, {
      method,
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
      ...options,
    });
    const text = await answer.text();
    const value = text ? JSON.parse(text) : null;
    if (!answer.ok) throw new Problem(answer.status, value ?? {});
    return value;
  }
}
