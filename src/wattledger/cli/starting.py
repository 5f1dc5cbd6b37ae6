"""The file that ``wattledger init`` writes: a small network, every line explained."""

STARTING_FILE = """\
# Wattledger's configuration. `wattledger apply` writes it into immutable versions; what is in
# force at the start of a session is what the session is billed by, whatever changes here later.
# Unknown keys are errors. Amounts, prices and percentages are quoted, so that none is a float.
# Secrets never stand here: *_env names the environment variable that holds one.

[server]
# Nothing listens beyond this machine unless you say so.
host = "127.0.0.1"
ocpp_port = 8016    # charge points connect to ws://<host>:8016/ocpp/<charge point id>
http_port = 8080    # page, API and webhooks

[database]
# Without a DSN an embedded PostgreSQL is started, its data here, relative to this file.
data_dir = ".wattledger/data"
# dsn_env = "WATTLEDGER_DSN"    # a PostgreSQL 15 or later of your own

[policies]
settle_window_s = 60         # wait this long after a stop for late meter values
sample_interval_s = 900      # how far apart your chargers' meter values are

# Who sells, keeps books and owes tax.
[[entity]]
id = "main"
name = "Example Charging LLC"
currency = "USD"
time_zone = "America/New_York"
# address = "1 Example Street\\nNew York, NY 10001"    # on receipts, as tax_ids and support

# A price list. The first element that has a component of a dimension, and whose restrictions
# all match, sets its price.
[[tariff]]
id = "standard"
name = "By time of day"
currency = "USD"
caps = [{ dimension = "idle_time", amount = "12.00" }]

[[tariff.elements]]
name = "peak"
restrictions = { start_time = "16:00", end_time = "21:00" }
components = [{ dimension = "energy", price = "0.45", unit = "kWh" }]

[[tariff.elements]]
name = "off-peak"
components = [{ dimension = "energy", price = "0.32", unit = "kWh" }]

[[tariff.elements]]
name = "idle"
restrictions = { min_idle_s = 600 }    # ten minutes' grace
components = [{ dimension = "idle_time", price = "0.20", unit = "minute", step = 60 }]

# How a driver pays, and on what terms.
[[plan]]
id = "fleet"
name = "Fleet"
route = "invoice"

[[plan]]
id = "member"
name = "Member"
route = "invoice"    # "card" once a [[processor]] is configured below
discount_percent = "10"

[[account]]
id = "acme"
name = "Acme Deliveries"
plan = "fleet"
tokens = ["04A1B2C3D4"]

[[site]]
id = "depot"
name = "Depot"
entity = "main"
time_zone = "America/New_York"
tariff = "standard"
tax_name = "Sales tax"
tax_percent = "8.875"
# processor = "stripe"

# One for each charge point. Put the hash that `wattledger hash-password` prints into auth;
# without it the charge point is let in without a password.
[[site.charge_points]]
id = "DEPOT-01"
power_w = 22000
# auth = "scrypt$..."

# A card processor account. Test mode first.
# [[processor]]
# id = "stripe"
# entity = "main"
# kind = "stripe"
# api_key_env = "STRIPE_API_KEY"
# webhook_secret_env = "STRIPE_WEBHOOK_SECRET"    # endpoint: /v1/webhooks/stripe/stripe
# publishable_key_env = "STRIPE_PUBLISHABLE_KEY"   # for drivers' page: /q/<charge point id>
# holds = [{ below_power_w = 50000, amount = "25.00" }, { amount = "50.00" }]

# Where every billed session is told, signed (Standard Webhooks).
# [[target]]
# id = "books"
# entity = "main"
# url = "https://books.example.com/wattledger"
# secret_env = "WATTLEDGER_BOOKS_SECRET"    # whsec_<base64>

# Links to receipts, and the mail server that sends them.
# [receipts]
# base_url = "https://pay.example.com"
# link_secret_env = "WATTLEDGER_LINK_SECRET"    # openssl rand -hex 32
# [mail]
# host = "smtp.example.com"
# user = "receipts"
# password_env = "WATTLEDGER_MAIL_PASSWORD"
# sender = "Example Charging <receipts@example.com>"

# A key of our API: POST /v1/sessions and the rest.
# [[api_key]]
# name = "cpms"
# key_env = "WATTLEDGER_CPMS_KEY"
# scopes = ["sessions:read", "sessions:write"]
"""
