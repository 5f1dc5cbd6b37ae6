// The page at a charge point. What is typed into the card field goes to the processor; the start is
// known by a key that is drawn here and kept for this tab, so that a page loaded again goes on.
"use strict";
(() => {
  // Where nobody new can pay there is no form; whoever charges there comes back to the progress.
  const form = document.getElementById("pay");
  const at = (id) => document.getElementById(id);
  const given = document.querySelector("main").dataset;
  const memory = `start:${given.chargePoint}/${given.connector}`;
  const stages = ["paying", "starting", "charging", "done"];
  let key = null;
  let before = null;
  let stripe = null;
  let elements = null;
  let timer = null;

  const recall = () => {
    try { return sessionStorage.getItem(memory); } catch { return null; }
  };
  const keep = (value) => {
    try {
      if (value) sessionStorage.setItem(memory, value); else sessionStorage.removeItem(memory);
    } catch { /* a browser that keeps nothing: the page works until it is left */ }
  };
  const draw = () => Array.from(
    crypto.getRandomValues(new Uint8Array(24)), (byte) => byte.toString(16).padStart(2, "0")
  ).join("");
  const wait = (ms) => new Promise((then) => setTimeout(then, ms));

  async function call(path, body) {
    const options = body === undefined ? {} : {
      method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
    };
    const where = `/q/-/starts${path}${path ? `?at=${encodeURIComponent(given.chargePoint)}` : ""}`;
    let answer;
    try {
      answer = await fetch(where, { ...options, cache: "no-store", credentials: "same-origin" });
    } catch {
      throw Object.assign(new Error("No connection. Check your network and try again."), { away: true });
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

  function show(found) {
    if (form) form.hidden = true;
    at("offer").hidden = found.stage !== "paying";
    const progress = at("progress");
    const first = progress.hidden;
    progress.hidden = false;
    const place = found.stage === "ending" ? 2 : stages.indexOf(found.stage);
    progress.querySelectorAll(".steps li").forEach((step, number) => {
      step.classList.toggle("past", place >= 0 && (number < place || found.stage === "done"));
      if (number === place) step.setAttribute("aria-current", "step");
      else step.removeAttribute("aria-current");
    });
    if (at("said").textContent !== found.text) at("said").textContent = found.text;
    const measured = found.energy_wh !== null && found.energy_wh !== undefined;
    at("figures").hidden = !measured && !found.cost;
    if (measured) at("energy").textContent = `${(found.energy_wh / 1000).toFixed(2)} kWh`;
    if (found.cost) at("cost").textContent = found.cost;
    at("cost-name").textContent = found.stage === "done" ? "Cost" : "Cost so far";
    at("receipt").hidden = !found.receipt;
    if (found.receipt) at("receipt").href = found.receipt;
    at("stop").hidden = !["paying", "starting", "charging"].includes(found.stage);
    at("stop").textContent = found.stage === "charging" ? "Stop charging" : "Cancel";
    at("again").hidden = found.stage !== "failed";
    if (first) progress.focus();
    if (found.stage === "failed" || (found.stage === "done" && found.receipt)) keep(null);
  }

  function offer() {
    at("progress").hidden = true;
    at("offer").hidden = false;
    if (!form) return;
    form.hidden = false;
    at("go").disabled = !elements;
  }

  async function follow() {
    clearTimeout(timer);
    try {
      const found = await call(`/${key}`);
      show(found);
      if (found.stage === "failed") return;
      timer = setTimeout(follow, found.stage === "done" ? 10000 : 2000);
    } catch (error) {
      if (error.status === 404) { keep(null); offer(); return; }
      timer = setTimeout(follow, 5000);
    }
  }

  async function confirm() {
    let found = await call("", {
      charge_point_id: given.chargePoint, connector_id: Number(given.connector), key,
      email: at("email").value.trim() || null, consent: Boolean(at("consent")?.checked),
      again: before,
    });
    for (let n = 0; found.stage === "paying" && !found.ready && n < 60; n += 1) {
      await wait(500);
      found = await call(`/${key}`);
    }
    if (found.stage !== "paying") return;  // a hold of before goes on, or none is needed
    if (!found.ready) throw new Error("The payment service does not answer. Try again in a moment.");
    const secret = (await call(`/${key}/secret`)).client_secret;
    const result = await stripe.confirmPayment({
      elements, clientSecret: secret, redirect: "if_required",
      confirmParams: { return_url: location.href },
    });
    if (result.error) throw new Error(result.error.message || "Your card was declined.");
    await call(`/${key}/paid`, {});
  }

  async function pay(event) {
    event.preventDefault();
    const email = at("email");
    const wrong = email.value.trim() !== "" && !email.checkValidity();
    at("email-wrong").hidden = !wrong;
    email.setAttribute("aria-invalid", String(wrong));
    if (wrong) { email.focus(); return; }
    complain("");
    at("go").disabled = true;
    at("go").textContent = "Paying …";
    try {
      if (Number(given.amount) > 0) {
        const { error } = await elements.submit();
        if (error) throw new Error(error.message);
      }
      key = key || draw();
      await confirm();
      keep(key);
      await follow();
    } catch (error) {
      // Another card, the same start. Where that is over, the next one takes over what it held.
      if (error.status === 409 || error.status === 404) { before = key; key = null; }
      complain(error.message);
    } finally {
      at("go").textContent = "Pay and start";
      at("go").disabled = !elements;
    }
  }

  async function stop() {
    at("stop").disabled = true;
    try {
      const found = await call(`/${key}/stop`, {});
      if (found.stage === "charging") found.text = "The charge point is being stopped.";
      show(found);
    } catch (error) {
      at("said").textContent = error.message;
    } finally {
      at("stop").disabled = false;
      timer = setTimeout(follow, 1500);
    }
  }

  function fields() {
    const amount = Number(given.amount);
    stripe = window.Stripe(given.key);
    if (amount === 0) {
      at("card").replaceChildren();
      elements = {};
      at("go").disabled = false;
      return;
    }
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    elements = stripe.elements({
      mode: "payment", amount, currency: given.currency, captureMethod: "manual",
      paymentMethodTypes: ["card"], appearance: { theme: dark ? "night" : "stripe" },
    });
    const card = elements.create("payment");
    card.on("ready", () => { at("go").disabled = false; });
    card.mount("#card");
    at("consent")?.addEventListener("change", (event) => {
      elements.update?.({ setupFutureUsage: event.target.checked ? "off_session" : null });
    });
  }

  async function begin() {
    for (let n = 0; !window.Stripe && n < 100; n += 1) await wait(100);
    if (!window.Stripe) {
      at("card").replaceChildren();
      complain("The payment service can't be reached. Check your network and load the page again.");
      return;
    }
    fields();
  }

  form?.addEventListener("submit", pay);
  at("stop").addEventListener("click", stop);
  at("again").addEventListener("click", () => {
    if (!form) { location.reload(); return; }
    before = key;
    key = null;
    complain("");
    offer();
  });
  key = recall();
  if (key) follow();
  if (form) begin();
})();
