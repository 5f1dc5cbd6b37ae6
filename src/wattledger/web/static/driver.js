// The page at a charge point. What is typed into the card field goes to the processor; the start is
// known by a key that is drawn here and kept by this browser before anything is asked for. So
// whatever happens, be it a page loaded again, a second tab, a network that fails, it is the same
// start: there is one hold, and the page can always say how it stands.
"use strict";
(() => {
  // Where nobody new can pay there is no form; whoever charges there comes back to the progress.
  const form = document.getElementById("pay");
  const at = (id) => document.getElementById(id);
  const given = document.querySelector("main").dataset;
  const memory = `start:${given.chargePoint}/${given.connector}`;
  const stages = ["paying", "starting", "charging", "done"];
  const TOLD_FOR_MS = 3600 * 1000;  // so long what is over is still shown when the page is opened
  const PATIENCE_MS = 20000;
  const held = ["requires_capture", "processing", "succeeded"];
  let key = null;
  let before = null;
  let stripe = null;
  let elements = null;
  let timer = null;
  let busy = false;        // Pay was pressed, and is not answered yet
  let doubt = false;       // the card may be confirmed already: asked before it is tried again
  let sent = false;        // it is confirmed: now the server has to see it
  let untold = false;      // and does not know yet that it could look
  let stage = null;
  let stopAsked = 0;

  // A browser that keeps nothing: the page works until it is left.
  const store = (kind, act) => { try { return act(window[kind]); } catch { return null; } };
  const kept = () => {
    const found = store("localStorage", (s) => JSON.parse(s.getItem(memory)));
    if (!found || typeof found.key !== "string") return null;
    if (found.over && Date.now() - found.over > TOLD_FOR_MS) { forget(); return null; }
    return found;
  };
  const keep = (over) => {
    store("localStorage", (s) => s.setItem(memory, JSON.stringify(over ? { key, over } : { key })));
  };
  const forget = () => {
    store("localStorage", (s) => s.removeItem(memory));
    store("sessionStorage", (s) => s.removeItem(memory));
  };
  // Of several tabs, the one that pays: by its end the payment is left.
  const pays = () => store("sessionStorage", (s) => s.setItem(memory, key));
  const isPaying = () => store("sessionStorage", (s) => s.getItem(memory)) === key;

  const draw = () => Array.from(
    crypto.getRandomValues(new Uint8Array(24)), (byte) => byte.toString(16).padStart(2, "0")
  ).join("");
  const wait = (ms) => new Promise((then) => setTimeout(then, ms));
  // Where it came from, as it may be confirmed: the server looks first.
  const resume = (known) => {
    key = known;
    doubt = untold = true;
    sent = false;
    at("taken")?.remove();  // by us
    follow();
  };
  // One tab after the other, where the browser can.
  const alone = (act) => (navigator.locks ? navigator.locks.request(memory, act) : act());
  const away = (text) => Object.assign(new Error(text), { away: true });

  function request(path, body) {
    const headers = { "content-type": "application/json" };
    if (path !== "s") headers["x-start-key"] = key;
    const options = { cache: "no-store", credentials: "same-origin", headers };
    if (body !== undefined) Object.assign(options, { method: "POST", body: JSON.stringify(body) });
    const query = path === "s" ? "" : `?at=${encodeURIComponent(given.chargePoint)}`;
    return [`/q/-/start${path}${query}`, options];
  }

  async function call(path, body) {
    const [where, options] = request(path, body);
    let answer;
    try {
      answer = await fetch(where, { ...options, signal: AbortSignal.timeout?.(PATIENCE_MS) });
    } catch {
      throw away("No connection. Check your network and try again.");
    }
    const found = await answer.json().catch(() => ({}));
    if (!answer.ok) {
      const error = new Error(found.error || "Something went wrong. Try again.");
      error.status = answer.status;
      throw error;
    }
    return found;
  }

  function complain(text) {
    at("wrong").textContent = text;
    at("wrong").hidden = !text;
    if (text) at("wrong").scrollIntoView({ block: "nearest" });
  }

  function note(text) {
    if (at("note").textContent !== text) at("note").textContent = text;
    at("note").hidden = !text;
  }

  function lost(what) {
    const said = navigator.onLine ? what : "No connection.";
    const text = said
      ? `${said} ${stage === "charging" ? "Charging goes on. " : ""}This page goes on by itself as soon as it can.`
      : "";
    if (at("away").textContent !== text) at("away").textContent = text;
    at("away").hidden = !text;
  }

  function write(found) {
    const measured = found.energy_wh !== null && found.energy_wh !== undefined;
    at("figures").hidden = !measured && !found.cost;
    if (measured) at("energy").textContent = `${(found.energy_wh / 1000).toFixed(2)} kWh`;
    if (found.cost) at("cost").textContent = found.cost;
    at("cost-name").textContent = found.stage === "done" ? "Cost" : "Cost so far";
    at("receipt").hidden = !found.receipt;
    if (found.receipt) at("receipt").href = found.receipt;
  }

  function show(found) {
    stage = found.stage;
    if (form) form.hidden = true;
    at("offer").hidden = stage !== "paying";
    const progress = at("progress");
    const first = progress.hidden;
    progress.hidden = false;
    const place = stage === "ending" ? 2 : stages.indexOf(stage);
    progress.querySelectorAll(".steps li").forEach((step, number) => {
      step.classList.toggle("past", place >= 0 && (number < place || stage === "done"));
      if (number === place) step.setAttribute("aria-current", "step");
      else step.removeAttribute("aria-current");
    });
    const stops = stage === "charging" && Date.now() - stopAsked < 60000;
    const text = stops ? "The charge point is being stopped." : found.text;
    if (at("said").textContent !== text) at("said").textContent = text;
    write(found);
    at("stop").hidden = !["paying", "starting", "charging"].includes(stage);
    at("stop").disabled = stops;
    at("stop").textContent = stage === "charging" ? "Stop charging" : "Cancel";
    const over = stage === "failed" || stage === "done";
    at("again").hidden = !over;
    at("again").textContent = stage === "done" ? "Charge again" : "Try again";
    at("again").className = stage === "done" ? "plain" : "";
    if (first) progress.focus();
    if (over) keep(Date.now());
  }

  // A payment that waits for its card: the form, which goes on with it, and a way out.
  function unfinished() {
    if (busy) return;
    at("progress").hidden = true;
    at("offer").hidden = false;
    form.hidden = false;
    at("go").disabled = !elements;
    at("cancel").hidden = false;
    note(at("wrong").hidden
      ? "Your payment here is not finished. Press Pay and start to finish it: it is the same "
        + "payment, you never pay twice."
      : "");
  }

  function offer() {
    stage = null;
    at("progress").hidden = true;
    at("offer").hidden = false;
    if (!form) return;
    form.hidden = false;
    at("cancel").hidden = true;
    note("");
    at("go").disabled = !elements;
  }

  function renew() {
    if (kept()?.key === key) forget();  // another tab's is not ours to forget
    before = key;
    key = null;
    doubt = sent = untold = false;
  }

  async function follow() {
    clearTimeout(timer);
    const mine = key;
    if (!mine) return;
    try {
      const found = untold ? await call("/paid", {}) : await call("");
      if (key !== mine) return;
      if (!kept()) keep();
      untold = false;
      lost("");
      stage = found.stage;
      if (found.stage === "paying" && form && !busy && !sent) unfinished();
      else if (found.stage !== "paying" || !form || !busy) show(found);
      if (found.stage === "failed") return;
      timer = setTimeout(follow, found.stage === "done" ? 10000 : busy ? 10000 : 2000);
    } catch (error) {
      if (key !== mine) return;
      if (error.status === 404) {
        if (!busy) { renew(); offer(); }
        return;
      }
      lost(error.away ? "No connection." : "The server does not answer at the moment.");
      timer = setTimeout(follow, 5000);
    }
  }

  async function confirm() {
    let found = await call("s", {
      charge_point_id: given.chargePoint, connector_id: Number(given.connector), key,
      email: at("email").value.trim() || null, consent: Boolean(at("consent")?.checked),
      again: before,
    });
    stage = found.stage;
    clearTimeout(timer);
    timer = setTimeout(follow, 10000);  // so that it is known that the page is open
    for (let n = 0; found.stage === "paying" && !found.ready && n < 60; n += 1) {
      await wait(500);
      found = await call("");
    }
    if (found.stage !== "paying") return;  // a hold of before goes on, or none is needed
    if (!found.ready) throw new Error("The payment service does not answer. Try again in a moment.");
    const clientSecret = (await call("/secret")).client_secret;
    if (!(doubt && await isHeld(clientSecret))) await ask(clientSecret);
    sent = untold = true;
  }

  async function isHeld(clientSecret) {
    const found = await stripe.retrievePaymentIntent(clientSecret);
    return held.includes(found.paymentIntent?.status);
  }

  async function ask(clientSecret) {
    doubt = true;
    const back = new URL(location.href);
    back.hash = "";
    const result = await stripe.confirmPayment({
      elements, clientSecret, redirect: "if_required", confirmParams: { return_url: back.href },
    }).catch(() => ({ error: { type: "api_connection_error" } }));
    const error = result.error;
    if (!error || held.includes(error.payment_intent?.status)) return;
    if (error.type === "api_connection_error" || !navigator.onLine) {
      throw away("The connection was lost while you paid. Press Pay and start once it is back: it "
        + "is the same payment, you never pay twice.");
    }
    doubt = false;
    throw new Error(`${error.message || "Your card was declined."} Nothing was charged: try again, or with another card.`);
  }

  async function pay(event) {
    event.preventDefault();
    if (busy || !elements) return;
    const email = at("email");
    const wrong = email.value.trim() !== "" && !email.checkValidity();
    at("email-wrong").hidden = !wrong;
    email.setAttribute("aria-invalid", String(wrong));
    if (wrong) { email.focus(); return; }
    complain("");
    busy = true;
    at("go").disabled = true;
    at("go").textContent = "Paying …";
    try {
      if (Number(given.amount) > 0) {
        const { error } = await elements.submit();
        if (error) throw new Error(error.message);
      }
      note("Your payment is being made. Keep this page open.");
      await alone(() => {
        const other = kept();  // another tab may have begun
        if (other && !other.over && other.key !== key) { key = other.key; doubt = true; }
        key = key || draw();
        keep();
        pays();
      });
      await confirm();
      at("taken")?.remove();
      busy = false;
      await follow();
    } catch (error) {
      busy = false;
      note("");
      complain(error.message);
      await after(error);
    } finally {
      busy = false;
      at("go").textContent = "Pay and start";
      at("go").disabled = !elements;
    }
  }

  // What a payment that could not be made is now: still to be finished, over, or unknown.
  async function after(error) {
    if (error.away || !key) { lost(""); return; }
    try {
      const found = await call("");
      if (found.stage !== "paying") { complain(""); show(found); timer = setTimeout(follow, 2000); }
      else { at("cancel").hidden = false; timer = setTimeout(follow, 10000); }
    } catch (other) {
      if (other.status !== 404) return;
      renew();
      for (let n = 0; n < 4 && !kept(); n += 1) await wait(500);
      const known = kept();  // it may be another tab's payment that was in the way
      if (known && !known.over) { complain(""); resume(known.key); }
    }
  }

  async function stop() {
    const buttons = [at("stop"), at("cancel")].filter(Boolean);
    buttons.forEach((button) => { button.disabled = true; });
    try {
      const found = await call("/stop", {});
      if (found.stage === "charging") stopAsked = Date.now();
      complain("");
      show(found);
    } catch (error) {
      if (form && !form.hidden) complain(error.message);
      else at("said").textContent = error.message;
    } finally {
      buttons.forEach((button) => { button.disabled = Date.now() - stopAsked < 60000; });
      clearTimeout(timer);
      timer = setTimeout(follow, 1500);
    }
  }

  function fields() {
    const amount = Number(given.amount);
    stripe = window.Stripe(given.key);
    if (amount === 0) {
      at("card").replaceChildren();
      elements = {};
      at("go").disabled = busy;
      return;
    }
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const made = stripe.elements({
      mode: "payment", amount, currency: given.currency, captureMethod: "manual",
      paymentMethodTypes: ["card"], appearance: { theme: dark ? "night" : "stripe" },
    });
    const card = made.create("payment");
    card.on("ready", () => { elements = made; at("go").disabled = busy; });
    card.on("loaderror", unreachable);
    card.mount("#card");
    at("consent")?.addEventListener("change", (event) => {
      made.update?.({ setupFutureUsage: event.target.checked ? "off_session" : null });
    });
  }

  function unreachable() {
    at("card").replaceChildren();
    complain("The payment service can't be reached. Nothing was charged. Check your network, then load the page again.");
    at("reload").hidden = false;
  }

  async function begin() {
    for (let n = 0; !window.Stripe && n < 150; n += 1) await wait(100);
    if (window.Stripe) fields(); else unreachable();
  }

  at("stop").addEventListener("click", stop);
  at("again").addEventListener("click", () => {
    renew();
    if (!form) { location.reload(); return; }
    complain("");
    offer();
    at("offer").querySelector("h2").focus();
  });
  window.addEventListener("offline", () => lost(""));
  window.addEventListener("online", () => { lost(""); follow(); });
  window.addEventListener("pageshow", (event) => { if (event.persisted) follow(); });
  document.addEventListener("visibilitychange", () => { if (!document.hidden && !busy) follow(); });
  window.addEventListener("storage", (event) => {
    if (event.key !== memory || busy) return;
    const other = kept();
    if (other && !other.over && other.key !== key) resume(other.key);
  });
  // Who leaves while a card is waited for leaves the connector to the next driver.
  window.addEventListener("pagehide", () => {
    if (stage !== "paying" || !key || !isPaying() || sent) return;
    const [where, options] = request("/left", {});
    fetch(where, { ...options, keepalive: true }).catch(() => {});
  });

  // What a bank's page hands over on the way back opens the payment: it stays in no history.
  if (location.search.includes("payment_intent")) {
    const clean = new URL(location.href);
    [...clean.searchParams.keys()].filter((name) => name !== "connector")
      .forEach((name) => clean.searchParams.delete(name));
    history.replaceState(null, "", clean);
  }
  lost("");
  const known = kept();
  if (known) resume(known.key);
  if (form) {
    form.addEventListener("submit", pay);
    at("cancel").addEventListener("click", stop);
    begin();
  }
})();
