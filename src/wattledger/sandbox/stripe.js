/* A small stand-in for https://js.stripe.com/v3/, served by the sandbox in its place.
 *
 * It has the shape of the original as far as a payment page needs it: Stripe(key).elements(),
 * create('payment'), mount(), confirmPayment(), retrievePaymentIntent(). Instead of fields for
 * a card it shows a choice of test cards. What is chosen goes to the sandbox and nowhere else.
 */
(function () {
  "use strict";
  var base = new URL(document.currentScript.src).origin;
  var CARDS = [
    ["pm_card_visa", "Visa 4242: works"],
    ["pm_card_mastercard", "Mastercard 4444: works"],
    ["pm_card_amex", "American Express 0005: works"],
    ["pm_card_visa_chargeDeclined", "Visa 0002: declined"],
    ["pm_card_visa_chargeDeclinedInsufficientFunds", "Visa 9995: insufficient funds"],
    ["pm_card_chargeDeclinedExpiredCard", "Visa 0069: expired"],
    ["pm_card_authenticationRequired", "Visa 3184: asks the bank"],
    ["pm_card_createDispute", "Visa 0259: disputed afterwards"]
  ];

  function call(key, method, path, params) {
    var form = new URLSearchParams(params);
    form.set("key", key);
    var url = base + path;
    var options = { method: method };
    if (method === "POST") { options.body = form; } else { url += "?" + form; }
    return fetch(url, options).then(function (response) { return response.json(); });
  }

  function outcome(name, answer) {
    if (answer.error) { return { error: answer.error }; }
    var result = {};
    result[name] = answer;
    return result;
  }

  /* The bank's question, over the page: passed or failed, as the person at the screen says. */
  function ask(intent) {
    return new Promise(function (resolve) {
      var dialog = document.createElement("dialog");
      dialog.setAttribute("data-sandbox", "authentication");
      var text = document.createElement("p");
      text.textContent = "The bank asks whether it is you (a stand-in for 3D Secure).";
      dialog.append(text);
      [["Yes, it is me", "passed"], ["Fail", "failed"]].forEach(function (choice) {
        var button = document.createElement("button");
        button.type = "button";
        button.textContent = choice[0];
        button.value = choice[1];
        button.addEventListener("click", function () {
          dialog.close();
          dialog.remove();
          fetch(base + "/_sim/authenticate/" + intent.id, {
            method: "POST",
            body: new URLSearchParams({
              client_secret: intent.client_secret, outcome: choice[1]
            })
          }).then(resolve, resolve);
        });
        dialog.append(button);
      });
      document.body.append(dialog);
      dialog.showModal();
    });
  }

  function Stripe(key) {
    function retrieve(secret) {
      var id = secret.split("_secret_")[0];
      return call(key, "GET", "/v1/payment_intents/" + id, { client_secret: secret })
        .then(function (answer) { return outcome("paymentIntent", answer); });
    }

    function finish(result, params, redirect) {
      var intent = result.paymentIntent;
      if (intent && intent.last_payment_error && intent.status === "requires_payment_method") {
        return { error: intent.last_payment_error };
      }
      if (intent && redirect !== "if_required" && params.return_url) {
        var url = new URL(params.return_url, location.href);
        url.searchParams.set("payment_intent", intent.id);
        url.searchParams.set("payment_intent_client_secret", intent.client_secret);
        url.searchParams.set("redirect_status", "succeeded");
        location.assign(url);
        return new Promise(function () {});
      }
      return result;
    }

    return {
      elements: function (options) {
        var secret = (options || {}).clientSecret;
        var select = null;
        return {
          _secret: secret,
          _method: function () { return select ? select.value : null; },
          submit: function () { return Promise.resolve({}); },
          getElement: function () { return null; },
          create: function () {
            var listeners = {};
            return {
              on: function (name, then) { listeners[name] = then; return this; },
              mount: function (where) {
                var place = typeof where === "string" ? document.querySelector(where) : where;
                var label = document.createElement("label");
                label.textContent = "Test card ";
                select = document.createElement("select");
                select.name = "sandbox-card";
                CARDS.forEach(function (card) {
                  select.append(new Option(card[1], card[0]));
                });
                label.append(select);
                place.replaceChildren(label);
                if (listeners.ready) { listeners.ready({}); }
                if (listeners.change) { listeners.change({ complete: true }); }
              },
              unmount: function () { if (select) { select.parentNode.remove(); } }
            };
          }
        };
      },
      retrievePaymentIntent: retrieve,
      confirmPayment: function (options) {
        var params = options.confirmParams || {};
        var secret = options.clientSecret || options.elements._secret;
        var id = secret.split("_secret_")[0];
        var method = params.payment_method ||
          (options.elements ? options.elements._method() : null);
        return call(key, "POST", "/v1/payment_intents/" + id + "/confirm", {
          client_secret: secret, payment_method: method, use_stripe_sdk: "true"
        }).then(function (answer) {
          if (answer.error) { return { error: answer.error }; }
          if (answer.status !== "requires_action") {
            return finish(outcome("paymentIntent", answer), params, options.redirect);
          }
          return ask(answer).then(function () { return retrieve(secret); })
            .then(function (result) { return finish(result, params, options.redirect); });
        });
      }
    };
  }

  window.Stripe = Stripe;
})();
