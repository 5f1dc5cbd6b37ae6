"""Tariffs of each standard with every field it knows, small and made by hand."""

from __future__ import annotations

OCPI_221 = """{
  "country_code": "NL", "party_id": "ABC", "id": "DAY", "currency": "EUR", "type": "REGULAR",
  "tariff_alt_text": [{"language": "en", "text": "Cheap at night"}],
  "tariff_alt_url": "https://example.com/day",
  "min_price": {"excl_vat": 0.50, "incl_vat": 0.61}, "max_price": {"excl_vat": 50},
  "elements": [
    {"price_components": [
       {"type": "ENERGY", "price": 0.20, "vat": 21.0, "step_size": 1},
       {"type": "FLAT", "price": 0.5, "step_size": 1}],
     "restrictions": {"start_time": "22:00", "end_time": "06:00",
                      "start_date": "2026-01-01", "end_date": "2027-01-01",
                      "min_kwh": 0.5, "max_kwh": 80, "min_current": 6, "max_current": 32.5,
                      "min_power": 1.4, "max_power": 22, "min_duration": 0, "max_duration": 86400,
                      "day_of_week": ["MONDAY", "SUNDAY"]}},
    {"price_components": [
       {"type": "ENERGY", "price": 0.35, "vat": 21.0, "step_size": 100},
       {"type": "TIME", "price": 1.20, "step_size": 60},
       {"type": "PARKING_TIME", "price": 6, "vat": 0, "step_size": 300}]},
    {"price_components": [
       {"type": "TIME", "price": 2.00, "vat": 21, "step_size": 600},
       {"type": "FLAT", "price": 1.00, "step_size": 1}],
     "restrictions": {"reservation": "RESERVATION"}},
    {"price_components": [{"type": "FLAT", "price": 4.00, "step_size": 1}],
     "restrictions": {"reservation": "RESERVATION_EXPIRES"}}],
  "start_date_time": "2026-01-01T00:00:00Z", "end_date_time": "2027-01-01T00:00:00Z",
  "energy_mix": {"is_green_energy": true,
                 "energy_sources": [{"source": "WIND", "percentage": 99.5}]},
  "last_updated": "2025-12-01T08:00:00Z"
}"""
OCPI_230 = (
    OCPI_221.replace('"excl_vat"', '"before_taxes"')
    .replace('"incl_vat"', '"after_taxes"')
    .replace('"elements": [', '"preauthorize_amount": 60, "tax_included": "YES", "elements": [', 1)
)
OCPI_211 = """{
  "id": "DAY", "currency": "EUR",
  "tariff_alt_text": [{"language": "en", "text": "Cheap at night"}],
  "tariff_alt_url": "https://example.com/day",
  "elements": [
    {"price_components": [
       {"type": "ENERGY", "price": 0.20, "step_size": 1},
       {"type": "FLAT", "price": 0.5, "step_size": 0}],
     "restrictions": {"start_time": "22:00", "end_time": "06:00",
                      "start_date": "2026-01-01", "end_date": "2027-01-01",
                      "min_kwh": 0.5, "max_kwh": 80, "min_power": 1.4, "max_power": 22,
                      "min_duration": 0, "max_duration": 86400,
                      "day_of_week": ["MONDAY", "SUNDAY"]}},
    {"price_components": [
       {"type": "TIME", "price": 1.20, "step_size": 60},
       {"type": "PARKING_TIME", "price": "6.00", "step_size": 300}]}],
  "energy_mix": {"is_green_energy": true},
  "last_updated": "2025-12-01T08:00:00Z"
}"""
OCPI = {"2.1.1": OCPI_211, "2.2.1": OCPI_221, "2.3.0": OCPI_230}

OCPP_21 = """{
  "tariffId": "CITY", "currency": "USD",
  "description": [{"format": "UTF8", "language": "en", "content": "Idle fee after ten minutes"}],
  "validFrom": "2026-01-01T00:00:00Z",
  "energy": {
    "prices": [
      {"priceKwh": 0.45,
       "conditions": {"startTimeOfDay": "16:00", "endTimeOfDay": "21:00",
                      "dayOfWeek": ["Monday", "Friday"],
                      "validFromDate": "2026-06-01", "validToDate": "2026-10-01",
                      "evseKind": "DC", "minEnergy": 500, "maxEnergy": 80000,
                      "minCurrent": 6, "maxCurrent": 200.5, "minPower": 1400, "maxPower": 150000,
                      "minTime": 60, "maxTime": 7200, "minChargingTime": 30,
                      "maxChargingTime": 3600, "minIdleTime": 1, "maxIdleTime": 900}},
      {"priceKwh": 0.30}],
    "taxRates": [{"type": "State", "tax": 7.25}, {"type": "City", "tax": 2, "stack": 1}]},
  "chargingTime": {"prices": [{"priceMinute": 0.02}]},
  "idleTime": {"prices": [{"priceMinute": 0.40, "conditions": {"minIdleTime": 600}}]},
  "fixedFee": {
    "prices": [
      {"priceFixed": 1.50,
       "conditions": {"startTimeOfDay": "08:00", "endTimeOfDay": "00:00",
                      "dayOfWeek": ["Saturday"], "validFromDate": "2026-01-01",
                      "validToDate": "2027-01-01", "evseKind": "AC", "paymentBrand": "VISA",
                      "paymentRecognition": "CC"}},
      {"priceFixed": 1.00}]},
  "reservationTime": {"prices": [{"priceMinute": 0.05}]},
  "reservationFixed": {"prices": [{"priceFixed": 2}]},
  "minCost": {"exclTax": 0.50, "inclTax": 0.55}, "maxCost": {"inclTax": 100}
}"""

NATIVE = """
[[tariff]]
id = "pasadena"
name = "Pasadena by time of day"
currency = "USD"
last_updated = 2026-01-01T00:00:00Z
[[tariff.elements]]
name = "energy"
components = [{ dimension = "energy", price = "0.35", unit = "kWh" }]
[[tariff.elements]]
name = "idle"
restrictions = { min_idle_s = 600 }
components = [{ dimension = "idle_time", price = "0.20", unit = "minute" }]
"""
