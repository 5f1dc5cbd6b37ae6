// The charts' theme is the page's tokens and nothing else; it is read again when the colour
// scheme or the width changes.
"use strict";

const WL = (() => {
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const still = () =>
    document.documentElement.classList.contains("still") || matchMedia("(prefers-reduced-motion: reduce)").matches;
  const narrow = () => innerWidth < 720;
  const data = (id) => {
    const block = document.getElementById(id);
    return block ? JSON.parse(block.textContent) : null;
  };
  // Minor units to text by the reader's locale; the plain values stand in the page.
  const money = (minor, currency, round) => {
    const whole = new Intl.NumberFormat("en", { style: "currency", currency });
    const places = whole.resolvedOptions().maximumFractionDigits;
    const format = round ? new Intl.NumberFormat("en", { style: "currency", currency, maximumFractionDigits: 0 }) : whole;
    return format.format(minor / 10 ** places).replace("-", "\u2212");
  };
  // A tooltip is built from nodes: the page's policy allows no markup with styles in it.
  const tip = (title, rows) => {
    const box = document.createElement("div");
    box.append(title);
    for (const [name, value] of rows) {
      const line = document.createElement("div");
      const bold = document.createElement("b");
      bold.textContent = value;
      line.append(name + " ", bold);
      box.append(line);
    }
    return box;
  };
  const theme = () => ({
    animation: !still(),
    animationDuration: 400,
    textStyle: { fontFamily: css("font"), fontSize: 12, color: css("ink-2") },
    tooltip: {
      backgroundColor: css("raised"), borderColor: css("ink-3"), borderWidth: 1, padding: [6, 10],
      extraCssText: "box-shadow:none;border-radius:4px;font-variant-numeric:tabular-nums",
      textStyle: { color: css("ink"), fontSize: 12 }, transitionDuration: 0,
    },
  });
  const axis = (more) => ({
    axisLine: { lineStyle: { color: css("ink-3") } }, axisTick: { show: false },
    axisLabel: { color: css("ink-3"), fontSize: 12, hideOverlap: true },
    splitLine: { lineStyle: { color: css("rule") } }, ...more,
  });
  const drawn = new Map();
  const draw = (id, render) => {
    const element = document.getElementById(id);
    if (!element) return;
    if (!drawn.has(id)) drawn.set(id, { chart: null, render, element });
    const one = drawn.get(id);
    one.render = render;
    if (!element.offsetWidth || !element.offsetHeight) return;
    one.chart ??= echarts.init(element, null, { renderer: "canvas" });
    one.chart.resize();
    render(one.chart);
  };
  const redraw = () => drawn.forEach((one, id) => draw(id, one.render));
  let waiting = 0;
  addEventListener("resize", () => { cancelAnimationFrame(waiting); waiting = requestAnimationFrame(redraw); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  return { css, still, narrow, data, money, tip, theme, axis, draw, redraw };
})();
