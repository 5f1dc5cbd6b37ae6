"""What of a page can be measured: the contrast of its text, and what hangs over its edge."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

_FAINT = """() => {
  const channel = (v) =>
    (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const parts = (color) => (color.match(/[0-9.]+/g) || []).map(Number);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const [r, g, b, a = 1] = parts(getComputedStyle(at).backgroundColor);
      if (a === 1) return [r, g, b];
    }
    return matchMedia("(prefers-color-scheme: dark)").matches
      ? [18, 18, 18] : [255, 255, 255];
  };
  const faint = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const element = walk.currentNode.parentElement;
    const text = walk.currentNode.textContent.trim();
    if (!text || !element.checkVisibility({ opacityProperty: true })) continue;
    if (element.closest("option, script, style, noscript")) continue;
    const ink = light(parts(getComputedStyle(element).color));
    const paper = light(behind(element));
    const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    if (ratio < 4.5) faint.push(`${text.slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return faint;
}"""


def faint(page: Page) -> list[Any]:
    """Texts with less than 4.5:1 against what is behind them (WCAG 2.2, 1.4.3)."""
    return list(page.evaluate(_FAINT))


def overhang(page: Page) -> int:
    """By how many pixels the page is wider than the screen."""
    wide = page.evaluate(
        "(([page]) => page.scrollWidth - page.clientWidth)([document.documentElement])"
    )
    return int(wide)
